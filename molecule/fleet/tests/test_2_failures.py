"""All or nothing, whatever fails; and the same command again finishes."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import time
from collections.abc import Callable, Iterator

import pytest
from fleet import DOMAIN, FULL, RATE, STACK, needs_full, wait_until

# What the output says when the steps of docs/release.md begin.
STEPS = {
    1: "Step 1 of 8",
    2: "Step 2 of 8",
    3: "Run once | Run the container",
    4: "Start the containers",
    5: "Step 5 of 8",
    6: "Step 6 of 8",
    7: "Step 7 of 8",
    8: "Step 8 of 8",
}
FLAG = f"/var/lib/docker/volumes/{STACK}-flags/_data/unhealthy"


def answers(fleet, host: str) -> bool:
    """Whether a new client gets a page from this edge."""
    command = ["curl", "--silent", "--fail", "--max-time", "1", "--cacert", str(fleet.ephemeral / "pki" / "ca.crt")]
    where = ["--resolve", f"{DOMAIN}:443:{fleet.address(host)}", f"https://{DOMAIN}/probe/"]
    return subprocess.run([*command, *where], stdout=subprocess.DEVNULL, check=False).returncode == 0


def test_a_release_that_fails_on_one_host_is_undone_on_all(fleet, site, loaded, record):
    (well,) = fleet.serves()
    host = fleet.group("web")[-1]
    fleet.on(host, f"echo sick > {FLAG}")
    fleet.write("sick")
    try:
        with loaded() as result:
            done = site(backend_health_start_period_seconds=10)
            assert done.returncode != 0, done.stdout
            fleet.check_serves(well)
    finally:
        fleet.on(host, f"rm {FLAG}")
    record(requests=result["requests"], failed=result["failed"], exit_code=done.returncode)
    assert result["failed"] == 0, json.dumps(result, indent=2)
    assert {name: records[-1]["result"] for name, records in fleet.records().items()} == dict.fromkeys(
        fleet.hosts, "failed"
    )
    table = done.stdout[done.stdout.rindex("HOST") :]
    assert all(re.search(rf"{name} +release \d+ in slot \w+ ", table) for name in fleet.group("web", "worker")), table
    if FULL:
        # The same again, now that the reason is gone.
        done = site(backend_health_start_period_seconds=10)
        assert done.returncode == 0, done.stdout
        fleet.check_serves("sick")


@contextlib.contextmanager
def cut_off(fleet, host: str) -> Iterator[Callable[[], None]]:
    """The function takes the controller's way to a host, which goes on serving; open connections end at once."""
    rule = "INPUT -p tcp --dport 22 -j REJECT --reject-with tcp-reset"
    try:
        yield lambda: fleet.on(host, f"iptables -I {rule}")
    finally:
        fleet.on(host, f"iptables -D {rule} || true")


@contextlib.contextmanager
def without_engine(fleet, host: str) -> Iterator[Callable[[], None]]:
    """The function kills a host's Engine, whose containers go on (live-restore)."""
    try:
        yield lambda: fleet.on(host, "pkill -KILL -x dockerd")
    finally:
        wait_until(lambda: engine_again(fleet, host), 180)


def engine_again(fleet, host: str) -> bool:
    """Start the Engine as a service manager does, again when it gives up, as on a machine that is short of time."""
    fleet.on(host, "pgrep -x dockerd || (rm -f /run/docker.pid; setsid dockerd >> /var/log/docker-again.log 2>&1 &)")
    return runs_containers(host)


def serves_by_edge(fleet) -> dict[str, list[str]]:
    """Edge -> the releases that it answers with."""
    found = {}
    for edge in fleet.group("edge"):
        with fleet.loaded(20, 2, edges=[edge]) as result:
            pass
        assert result["failed"] == 0, (edge, result)
        found[edge] = sorted(result["releases"])
    return found


# What is lost at which step: a text of the output, and the group of the host.
LOSSES = {
    "way-start": (cut_off, STEPS[4], "web"),
    "way-switch": (cut_off, "Link | Let the slot serve", "edge"),
    "engine-start": (without_engine, STEPS[4], "web"),
    "engine-switch": (without_engine, STEPS[5], "edge"),
    "way-workers": (cut_off, "broadcast.stack.celery_worker : Check", "worker"),
    "way-switched": (cut_off, "Slots | Observe the host again", "edge"),
    "engine-switched": (without_engine, "Slots | Observe the host again", "worker"),
}
# Without FLEET_FULL those two that undo had not survived, and one run that finishes after both. An edge that could not
# be told may serve either release, so it comes last.
FIRST_LOSSES = ("engine-start", "way-switch")


@pytest.mark.parametrize("loss", LOSSES if FULL else FIRST_LOSSES)
def test_a_host_that_is_lost_is_told_as_it_is_and_holds_up_no_other(fleet, site, loaded, record, loss):
    (well,) = fleet.serves()
    means, marker, group = LOSSES[loss]
    host, name = fleet.group(group)[-1], f"lost-{loss}-{int(time.time())}"
    fleet.write(name)
    with loaded(min(RATE, 30)) as result:
        with means(fleet, host) as lose:
            came, code, output = fleet.interrupted(marker, lambda run: lose())
            seen = serves_by_edge(fleet)
            said = " ".join(output[output.rindex("Undone | Fail") :].split())
        done = site() if FULL or loss == FIRST_LOSSES[-1] else None
    record(loss=loss, exit_code=code, seen=seen, requests=result["requests"], failed=result["failed"])
    assert came, output
    assert code != 0
    # The cause, by its host.
    assert re.search(rf"{host}: ", said), said
    astray = [edge for edge in fleet.group("edge") if re.search(rf"{edge}[^.;]* could not be told", said)]
    assert astray == ([host] if means is cut_off and group == "edge" else []), said
    for edge, releases in seen.items():
        # What was said of an edge is what it answers; of one that could not be told, one of the two.
        assert releases == [well] or (edge in astray and releases == [name]), (edge, releases, said)
    # An Engine that starts writes its rules for published ports anew. A new connection to them is refused meanwhile.
    refused = [
        failure
        for failure in result["failures"]
        if (means, group) == (without_engine, "edge")
        and (failure["edge"], "ConnectionRefused" in failure["reason"]) == (fleet.address(host), True)
    ]
    assert result["failed"] == len(refused), json.dumps(result, indent=2)
    if done:
        # The same command finishes.
        assert done.returncode == 0, done.stdout
        fleet.check_serves(name)
        fleet.check_records()


@needs_full
@pytest.mark.parametrize(("step", "marker"), STEPS.items())
def test_a_controller_that_is_killed_leaves_what_the_same_command_finishes(fleet, site, loaded, record, step, marker):
    name = f"killed-{step}-{int(time.time())}"
    fleet.write(name)
    # With the requests of a release under load these eight would take twice as long.
    with loaded(30) as result:
        came, _code, _output = fleet.interrupted(marker, lambda run: os.killpg(run.pid, signal.SIGKILL))
        # What it had begun on hosts goes on there for a while.
        time.sleep(2)
        done = site()
        assert done.returncode == 0, done.stdout
    record(step=step, requests=result["requests"], failed=result["failed"])
    assert came, marker
    assert result["failed"] == 0, json.dumps(result, indent=2)
    fleet.check_serves(name)
    fleet.check_records()


@needs_full
def test_a_switch_that_was_killed_is_gone_back_from_and_gives_way_to_another_release(fleet, site, loaded, record):
    """Killed when the edges had switched, and before the release became the live one."""
    (well,) = fleet.serves()
    stamp = int(time.time())
    with loaded(30) as result:
        for name in (f"switched-{stamp}", f"again-{stamp}"):
            fleet.write(name)
            came, _code, output = fleet.interrupted(
                "Slots | Observe the host again", lambda run: os.killpg(run.pid, signal.SIGKILL)
            )
            assert came, output
            time.sleep(2)
            assert list(fleet.serves()) == [name]
            if name.startswith("switched"):
                done = fleet.play("playbooks/rollback.yml")
                assert done.returncode == 0, done.stdout
                fleet.check_serves(well)
        fleet.write(f"other-{stamp}")
        done = site()
        assert done.returncode == 0, done.stdout
    record(requests=result["requests"], failed=result["failed"])
    assert result["failed"] == 0, json.dumps(result, indent=2)
    fleet.check_serves(f"other-{stamp}")
    fleet.check_records()


@needs_full
def test_a_migration_that_fails_leaves_the_old_release_on_all_hosts(fleet, site, loaded, record):
    (well,) = fleet.serves()
    name = f"migrates-{int(time.time())}"
    fleet.write(name)
    migration = fleet.migrate("0002_fails", "RunPython(fail)")
    with loaded() as result:
        done = site()
        assert done.returncode != 0, done.stdout
        fleet.check_serves(well)
        migration.unlink()
        again = site()
        assert again.returncode == 0, again.stdout
    record(exit_code=done.returncode, requests=result["requests"], failed=result["failed"])
    assert "this migration fails" in done.stdout
    assert result["failed"] == 0, json.dumps(result, indent=2)
    fleet.check_serves(name)


@contextlib.contextmanager
def small_disk(fleet, host: str) -> Iterator[Callable[[], None]]:
    """The stack's files on a file system of their own; the function fills it."""
    path, below = f"/opt/{STACK}", "/run/below"
    fleet.on(host, f"mkdir -p {below} && mount --bind / {below} && mount -t tmpfs -o size=64m tmpfs {path}")
    fleet.on(host, f"cp -a {below}{path}/. {path}/")
    try:
        yield lambda: fleet.on(host, f"dd if=/dev/zero of={path}/filler bs=64k 2> /dev/null || true")
    finally:
        # Back in place: running containers hold the folders that were there before.
        fleet.on(host, f"rm -f {path}/filler && cp -au {path}/. {below}{path}/")
        gone = f"""! -exec sh -c '[ -e "$1" ] || [ -L "$1" ]' _ {path}/{{}} ';'"""
        fleet.on(host, f"cd {below}{path} && find . -depth {gone} -delete")
        fleet.on(host, f"umount {path} {below}")


@needs_full
def test_a_full_disk_on_one_host_leaves_the_old_release_on_all(fleet, site, loaded, record):
    (well,) = fleet.serves()
    host, name = fleet.group("web")[-1], f"full-{int(time.time())}"
    fleet.write(name)
    with loaded() as result:
        with small_disk(fleet, host) as fill:
            came, code, output = fleet.interrupted(STEPS[4], lambda run: fill())
            assert code != 0, output
            assert "No space left" in output, output
            fleet.check_serves(well)
        done = site()
        assert done.returncode == 0, done.stdout
    assert came
    record(exit_code=code, requests=result["requests"], failed=result["failed"])
    assert result["failed"] == 0, json.dumps(result, indent=2)
    fleet.check_serves(name)


@needs_full
def test_of_two_releases_at_once_one_runs_and_the_migration_once(fleet, record):
    name = f"pair-{int(time.time())}"
    fleet.write(name)
    fleet.migrate("0002_once", f"RunSQL(\"INSERT INTO probe_item (text) VALUES ('migrated {name}')\")")
    runs = [fleet.start(), fleet.start()]
    outputs = [run.communicate()[0] for run in runs]
    codes = [run.returncode for run in runs]
    record(exit_codes=codes)
    assert 0 in codes, outputs
    for code, output in zip(codes, outputs, strict=True):
        assert code == 0 or "lock" in output, output
    fleet.check_serves(name)
    count = f"from probe.models import Item; print('count', Item.objects.filter(text='migrated {name}').count())"
    assert fleet.manage("shell", "-c", count).split()[-1] == "1"


@needs_full
def test_a_run_that_waits_for_another_plans_anew(fleet, loaded, record):
    """What it had planned before would replace what serves meanwhile."""
    name = f"waited-{int(time.time())}"
    fleet.write(name)
    with loaded(30) as result:
        runs = [fleet.start(), fleet.start(stack_lock_wait=900, nginx_tls_client_max_body_size="9m")]
        outputs = [run.communicate()[0] for run in runs]
    codes = [run.returncode for run in runs]
    record(exit_codes=codes, requests=result["requests"], failed=result["failed"])
    # The one that waits may also be the first.
    assert codes[1] == 0, outputs[1]
    assert codes[0] == 0 or "lock" in outputs[0], outputs[0]
    assert codes[0] != 0 or "Look again | Decide anew" in outputs[1], outputs[1]
    assert result["failed"] == 0, json.dumps(result, indent=2)
    fleet.check_serves(name)
    fleet.check_records()


@needs_full
def test_a_rollback_past_a_migration_that_took_something_away_is_refused(fleet, site, record):
    name = f"dropped-{int(time.time())}"
    fleet.write(name)
    fleet.migrate("0002_drop", 'RunSQL("ALTER TABLE probe_item DROP COLUMN IF EXISTS absent")')
    refused = site()
    assert refused.returncode != 0
    assert "0002_drop" in refused.stdout, refused.stdout
    done = site(release_maintenance_window=True)
    assert done.returncode == 0, done.stdout
    back = fleet.play("playbooks/rollback.yml")
    record(exit_codes=[refused.returncode, done.returncode, back.returncode])
    assert back.returncode != 0, back.stdout
    assert "applied probe.0002_drop, which runs SQL with" in " ".join(back.stdout.split()), back.stdout
    fleet.check_serves(name)


def runs_containers(host: str) -> bool:
    """Whether the Engine of a host is up again and has started its containers."""
    done = subprocess.run(["docker", "exec", host, "docker", "ps", "--quiet"], capture_output=True, check=False)
    return done.returncode == 0 and bool(done.stdout)


@needs_full
def test_a_worker_host_that_was_away_does_nothing_of_an_older_release(fleet, site, record):
    """Its workers and beat start with its Engine, which nobody asks; the hosts of data do not let them in."""
    (away,) = fleet.group("worker")
    name, batch = f"workerless-{int(time.time())}", f"away-{int(time.time())}"
    fleet.write(name)
    subprocess.run(["docker", "stop", "--time", "5", away], check=True, stdout=subprocess.DEVNULL)
    try:
        done = site(stack_unreachable_hosts="leave_out")
        assert list(fleet.serves()) == [name], done.stdout
        assert done.returncode != 0, done.stdout
        assert f"{away} is left out" in done.stdout
        assert "No worker, no beat" in " ".join(done.stdout.split()), done.stdout
    finally:
        subprocess.run(["docker", "start", away], check=True, stdout=subprocess.DEVNULL)
    wait_until(lambda: runs_containers(away), 60)
    started = time.time()
    fleet.manage("probe", "enqueue", f"--batch={batch}", "--number=5")
    time.sleep(40)
    seen = fleet.report(batch, 5, started)
    record(seen=seen, running=fleet.containers(away))
    assert (seen["missing"], seen["ticks"]) == (5, 0), seen
    done = site()
    assert done.returncode == 0, done.stdout
    wait_until(lambda: fleet.report(batch, 5)["missing"] == 0, 120)
    seen = fleet.report(batch, 5, started)
    assert (seen["done_once"], seen["doubled"], seen["schedulers"]) == (5, 0, 1), seen
    fleet.check_serves(name)
    fleet.check_records()


@needs_full
def test_a_web_host_that_was_away_gets_requests_when_it_has_the_release(fleet, site, loaded, record):
    away = next((host for host in fleet.group("web") if host not in fleet.group("edge")), None)
    if away is None:
        pytest.skip("every web host is an edge as well")
    edge = fleet.group("edge")[0]
    (well,) = fleet.serves()
    name = f"away-{int(time.time())}"
    subprocess.run(["docker", "stop", "--time", "5", away], check=True, stdout=subprocess.DEVNULL)
    try:
        fleet.on(edge, f"docker stop --time 1 {STACK}-nginx")
        fleet.on(edge, f"docker start {STACK}-nginx")
        started = time.monotonic()
        wait_until(lambda: answers(fleet, edge), 3 if FULL else 15)
        edge_seconds = round(time.monotonic() - started, 1)
        fleet.write(name)
        with loaded() as result:
            # Unless told otherwise, a run does nothing without one of the hosts.
            refused = site()
            assert refused.returncode != 0, refused.stdout
            assert list(fleet.serves()) == [well]
            done = site(stack_unreachable_hosts="leave_out")
            # The others have it; the exit code tells that one has not.
            assert done.returncode != 0, done.stdout
            assert list(fleet.serves()) == [name], done.stdout
        assert f"{away} is left out" in done.stdout
        table = done.stdout[done.stdout.find("PLAY RECAP") :]
    finally:
        subprocess.run(["docker", "start", away], check=True, stdout=subprocess.DEVNULL)
    wait_until(lambda: runs_containers(away), 60)
    with loaded() as back:
        time.sleep(10)
        done = site()
        assert done.returncode == 0, done.stdout
    record(edge_seconds=edge_seconds, failed=result["failed"], failed_at_return=back["failed"], recap=table)
    assert result["failed"] == 0, json.dumps(result, indent=2)
    assert back["failed"] == 0, json.dumps(back, indent=2)
    # Never what it ran before it went away.
    assert list(back["releases"]) == [name]
    fleet.check_serves(name)
    fleet.check_records()
