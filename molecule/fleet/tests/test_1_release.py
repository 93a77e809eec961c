"""Releases lose no request and no task."""

from __future__ import annotations

import json
import time

from fleet import FULL, RELEASES, TASKS, wait_until

ENVIRONMENT = {"PROBE_HOST": "{{ inventory_hostname }}", "PROBE_NOTE": "changed"}


def check(result: dict, record, **figures: object) -> None:
    record(**{name: value for name, value in result.items() if name != "failures"}, **figures)
    assert result["failed"] == 0, json.dumps(result, indent=2)
    assert all(kind["requests"] > 0 for kind in result["kinds"].values()), result
    if FULL:
        assert result["requests_per_second"] >= 100, result


def test_releases_under_load_fail_no_request_and_do_each_task_once(fleet, release, loaded, record):
    batch, since, seconds = f"b{int(time.time())}", time.time(), []
    share = TASKS // RELEASES
    with loaded() as result:
        for number in range(RELEASES):
            fleet.manage("probe", "enqueue", f"--batch={batch}-{number}", f"--number={share}")
            seconds.append(release(f"{batch}-{number}"))

    def reports() -> list[dict]:
        return [fleet.report(f"{batch}-{number}", share, since) for number in range(RELEASES)]

    wait_until(lambda: all(report["missing"] == 0 for report in reports()), 600)
    tasks = reports()
    ticks = {name: tasks[-1][name] for name in ("ticks", "doubled_ticks", "longest_gap_seconds", "schedulers_overlap")}
    done = sum(report["done_once"] for report in tasks)
    check(result, record, tasks=TASKS, done_once=done, release_seconds=[round(value) for value in seconds], **ticks)
    assert done == TASKS
    assert ticks["ticks"] > 10
    assert ticks["doubled_ticks"] == 0
    assert not ticks["schedulers_overlap"]
    fleet.check_serves(f"{batch}-{RELEASES - 1}")


def test_a_rollback_and_the_way_forward_fail_no_request(fleet, release, loaded, record):
    (now,) = fleet.serves()
    release("next")
    with loaded() as result:
        started = time.monotonic()
        done = fleet.play("playbooks/rollback.yml")
        seconds = round(time.monotonic() - started)
        assert done.returncode == 0, done.stdout
        fleet.check_serves(now)
    check(result, record, rollback_seconds=seconds)


def test_a_changed_variable_and_a_changed_edge_fail_no_request(fleet, site, loaded, record):
    with loaded() as result:
        done = site(backend_env=ENVIRONMENT)
        assert done.returncode == 0, done.stdout
        done = site(backend_env=ENVIRONMENT, nginx_tls_client_max_body_size="7m")
        assert done.returncode == 0, done.stdout
        done = site()
        assert done.returncode == 0, done.stdout
    check(result, record)
