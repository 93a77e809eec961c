"""Releases lose no request and no task."""

from __future__ import annotations

import json
import re
import time

import pytest
from fleet import FULL, RELEASES, STACK, TASKS, needs_full, wait_until

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
    # All journals name the same image.
    (image,) = {records[-1]["image_id"] for records in fleet.records().values()}
    assert image.startswith("sha256:")
    # They know the schema, which a rollback asks about.
    assert all("probe" in records[-1]["migrations"]["heads"] for records in fleet.records().values())
    fleet.check_records()


def test_a_rollback_fails_no_request(fleet, loaded, record):
    """To the release before the last of the test above."""
    (now,) = fleet.serves()
    with loaded() as result:
        started = time.monotonic()
        done = fleet.play("playbooks/rollback.yml")
        seconds = round(time.monotonic() - started)
        assert done.returncode == 0, done.stdout
    check(result, record, rollback_seconds=seconds)
    (then,) = fleet.serves()
    assert then != now
    fleet.check_serves(then)


@needs_full
def test_the_plan_has_no_side_effect_and_lists_what_the_run_then_does(fleet, site, record):
    fleet.write(f"planned-{int(time.time())}")
    before = fleet.ids()
    plan = fleet.play("playbooks/plan.yml")
    assert plan.returncode == 0, plan.stdout
    assert fleet.ids() == before
    listed = set(re.findall(r"^ +(\S+): \w+: (?:create|replace) (\S+?):", plan.stdout, re.MULTILINE))
    done = site()
    assert done.returncode == 0, done.stdout
    after = fleet.ids()
    made = {place for place, identity in after.items() if before.get(place) != identity}
    travelled = re.findall(r"(\d+) kB in (\d+) layers", done.stdout)
    record(planned=sorted(map(": ".join, listed)), kilobytes_and_layers_per_host=travelled)
    assert listed == made
    # The code's layer alone, to each of the hosts that run it.
    assert [layers for _size, layers in travelled] == ["1"] * len(set(fleet.group("edge", "web", "worker")))


@needs_full
def test_a_changed_variable_and_a_changed_edge_fail_no_request(fleet, site, loaded, record):
    with loaded() as result:
        done = site(backend_env=ENVIRONMENT)
        assert done.returncode == 0, done.stdout
        done = site(backend_env=ENVIRONMENT, nginx_tls_client_max_body_size="7m")
        assert done.returncode == 0, done.stdout
        done = site()
        assert done.returncode == 0, done.stdout
    check(result, record)


@needs_full
@pytest.mark.parametrize(("name", "memory"), [("nginx", "nginx_tls_memory"), ("gateway", "gateway_memory")])
def test_replaced_containers_of_nginx_fail_no_request(fleet, site, loaded, record, name, memory):
    def created() -> set[str]:
        return {fleet.on(host, f"docker inspect -f '{{{{.Created}}}}' {STACK}-{name}") for host in fleet.group("edge")}

    seen = created()
    with loaded() as result:
        for change in ({memory: "200m"}, {}):
            done = site(**change)
            assert done.returncode == 0, done.stdout
            assert not seen & created()
            seen |= created()
    check(result, record)
