"""What an application of another team sees of its workers: tasks arrive, none is lost, the schedule is kept."""

from __future__ import annotations

import json
import re
import shlex
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

BROKER, PASSWORD = "shop-redis-broker", "canary-redis-broker-29c6"
SECRETS = (PASSWORD, "canary-django-key-5a1f0c7e93d24b68")
DEFAULT, EXPORTS, BEAT = "shop-worker-default", "shop-worker-exports", "shop-beat"
# A periodic task of the application, and the seconds between two of it.
ROUND, INTERVAL = "round by default in north", 40


class Orders:
    """The application from outside: sends tasks, reads the traces they leave."""

    def __init__(self, host) -> None:
        self.host = host

    def send(self, task: str, *arguments: object, queue: str = "") -> None:
        routed = ["--queue", queue] if queue else []
        call = ["celery", "-A", "orders", "call", f"orders.tasks.{task}", "--args", json.dumps(arguments), *routed]
        self.host.check_output(f"docker exec {DEFAULT} {shlex.join(call)}")

    def redis(self, *command: str) -> list[str]:
        cli = f"docker exec -e REDISCLI_AUTH={PASSWORD} {BROKER} redis-cli --user app {shlex.join(command)}"
        return self.host.check_output(cli).splitlines()

    def python(self, text: str) -> None:
        """Run a line of Python in the application."""
        self.host.check_output("docker exec %s python -c %s", DEFAULT, f"from orders.tasks import *; {text}")

    def consume(self, queue: str, seconds: int) -> str:
        """Let a further worker consume a queue that no pool has, and end it as a stopping container does; its log."""
        worker = ["celery", "-A", "orders", "worker", "-l", "INFO", "-Q", queue, "-n", f"{queue}@%h", "-P", "solo"]
        return self.host.run(f"docker exec {DEFAULT} timeout {seconds} {shlex.join(worker)} 2>&1").stdout

    def held(self, key: str) -> set[str]:
        """Names of a key's tasks that workers have fetched and not acknowledged; those that ran into it are done."""
        messages = "\n".join(self.redis("HVALS", "unacked"))
        return set(re.findall(rf"\('{key}', '([^']+)'\)", messages)) - set(self.trace(key))

    def trace(self, name: str) -> list[str]:
        return [line for line in self.redis("LRANGE", f"trace:{name}", "0", "-1") if line]

    def wait_for(self, name: str, *lines: str, seconds: int = 60) -> list[str]:
        wait(lambda: set(lines) <= set(self.trace(name)), seconds, f"{lines} in {name}")
        return self.trace(name)


def wait(condition: Callable[[], bool], seconds: int, what: str) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"not within {seconds} s: {what}"
        time.sleep(1)


def inspect(host, container: str, field: str) -> str:
    return host.check_output("docker inspect -f %s %s", "{{" + field + "}}", container)


def health(host, container: str) -> str:
    return inspect(host, container, ".State.Health.Status")


@pytest.fixture(scope="session")
def pools(scenario: Path) -> dict[str, dict]:
    """The pools of the scenario."""
    settings = yaml.safe_load((scenario / "molecule.yml").read_text())
    return settings["provisioner"]["inventory"]["group_vars"]["all"]["backend_worker_pools"]


@pytest.fixture
def orders(host) -> Orders:
    application = Orders(host)
    application.redis("DEL", "trace:confirmed", "trace:exports", "trace:ticks")
    return application


def test_task_is_executed_by_the_pool_of_its_queue(orders: Orders) -> None:
    orders.send("confirm", "o-1")
    orders.send("confirm", "o-2", queue="exports")
    expected = ["o-1 by default in north", "o-2 by exports in -"]
    # Beat has a task of its own there, whenever its turn comes.
    assert sorted(line for line in orders.wait_for("confirmed", *expected) if line != ROUND) == expected


def test_application_routes_its_tasks_by_its_own_settings(orders: Orders) -> None:
    orders.send("export", "r-1", 0)
    orders.wait_for("exports", "r-1 started by exports", "r-1 finished")


def test_periodic_task_runs_once_per_turn_and_there_is_one_beat(host, orders: Orders) -> None:
    assert host.check_output("docker ps --format '{{.Names}}' --filter name=beat") == BEAT
    began = time.monotonic()
    time.sleep(15)
    ticks = sorted(map(float, orders.trace("ticks")))
    # Every two seconds: a second scheduler would double their number.
    assert 5 <= len(ticks) <= (time.monotonic() - began) / 2 + 3
    assert (ticks[-1] - ticks[0]) / (len(ticks) - 1) > 1.4


def test_beat_remembers_when_it_sent_what_however_it_ends(host, orders: Orders, converge) -> None:
    """Beat lives shorter than the interval each time; without a memory it would begin the interval anew."""
    orders.wait_for("confirmed", ROUND, seconds=90)
    orders.redis("DEL", "trace:confirmed")
    for end in ("docker restart %s", "docker kill %s && docker start %s"):
        time.sleep(8)
        host.check_output(end, *[BEAT] * end.count("%s"))
    identity = inspect(host, BEAT, ".Id")
    assert converge(backend_beat_memory="250m").returncode == 0
    assert inspect(host, BEAT, ".Id") != identity
    ended = time.monotonic()
    orders.wait_for("confirmed", ROUND, seconds=INTERVAL)
    assert time.monotonic() - ended < INTERVAL


def test_beat_that_finds_a_damaged_memory_begins_its_intervals_anew(host, orders: Orders) -> None:
    host.check_output("docker stop %s", BEAT)
    memory = host.check_output("docker volume inspect -f '{{.Mountpoint}}' %s", BEAT)
    host.check_output("for file in %s/celerybeat-schedule*; do echo damaged > $file; done", memory)
    host.check_output("docker start %s", BEAT)
    wait(lambda: len(orders.trace("ticks")) > 2, 60, "periodic tasks are sent")


@pytest.mark.parametrize("end", ["stop", "kill", "replace"])
def test_files_of_a_volume_survive_the_container(host, converge, pools, end: str) -> None:
    host.check_output("docker exec %s sh -c 'echo kept > /srv/files/%s'", EXPORTS, end)
    if end == "replace":
        identity = inspect(host, EXPORTS, ".Id")
        changed = {**pools, "exports": {**pools["exports"], "env": {"ORDERS_REGION": "west"}}}
        assert converge(celery_worker_pools=changed).returncode == 0
        assert inspect(host, EXPORTS, ".Id") != identity
    else:
        host.check_output("docker %s %s && docker start %s", end, EXPORTS, EXPORTS)
    assert host.check_output("docker exec %s cat /srv/files/%s", EXPORTS, end) == "kept"


@pytest.mark.parametrize("container", [DEFAULT, BEAT])
def test_full_tmp_is_told_and_kills_nobody(host, orders: Orders, container: str) -> None:
    started = inspect(host, container, ".State.StartedAt")
    result = host.run("docker exec %s dd if=/dev/zero of=/tmp/full bs=1M count=700", container)
    assert "No space left on device" in result.stderr
    wait(lambda: "Health is not noted" in host.run("docker logs %s", container).stderr, 30, "a note that has no room")
    orders.send("confirm", container)
    orders.wait_for("confirmed", f"{container} by default in north")
    host.check_output("docker exec %s rm /tmp/full", container)
    assert inspect(host, container, ".State.StartedAt") == started
    assert inspect(host, container, ".State.OOMKilled") == "false"


def test_purged_queue_is_empty_and_what_a_worker_holds_stays(host, orders: Orders) -> None:
    """The documented command, in a container like the one in which it is run."""
    orders.send("export", "h-1", 30)
    orders.wait_for("exports", "h-1 started by exports")
    # In one process: three starts of Python take longer than the task that keeps the worker busy, on a busy machine.
    orders.python("[export.delay('w-%d' % number, 0) for number in range(3)]")
    purge = "docker exec %s celery -A orders purge --force -Q celery,exports"
    assert "Purged 3 messages" in host.check_output(purge, DEFAULT)
    orders.wait_for("exports", "h-1 finished", seconds=90)
    assert not [line for line in orders.trace("exports") if line.startswith("w-")]


def test_health_check_starts_nothing_but_a_shell(host) -> None:
    test = json.loads(inspect(host, DEFAULT, "json .Config.Healthcheck.Test"))
    assert test[0] == "CMD-SHELL"
    assert not {"python", "celery", "redis-cli"} & set(test[1].split())


def test_secrets_and_hardening(host) -> None:
    for container in (DEFAULT, EXPORTS, BEAT):
        seen = host.check_output("docker inspect %s && docker logs %s 2>&1", container, container)
        assert not [secret for secret in SECRETS if secret in seen]
        assert inspect(host, container, ".HostConfig.ReadonlyRootfs") == "true"
        assert inspect(host, container, ".Config.User") == "10003:10003"
        assert inspect(host, container, ".HostConfig.CpuShares") == "512"
    processes = host.check_output("ps axww")
    assert not [secret for secret in SECRETS if secret in processes]
    # 256 MiB and 128 MiB for each process by default; what the pool says counts more.
    assert int(inspect(host, DEFAULT, ".HostConfig.Memory")) == (256 + 2 * 128) * 2**20
    assert int(inspect(host, EXPORTS, ".HostConfig.Memory")) == 300 * 2**20


def test_running_task_finishes_when_its_container_stops(host, orders: Orders) -> None:
    orders.send("export", "s-1", 8)
    orders.wait_for("exports", "s-1 started by exports")
    host.check_output("docker stop %s", EXPORTS)
    assert orders.trace("exports") == ["s-1 started by exports", "s-1 finished"]
    assert inspect(host, EXPORTS, ".State.ExitCode") == "0"
    orders.send("export", "s-2", 0)
    host.check_output("docker start %s", EXPORTS)
    orders.wait_for("exports", "s-2 finished")


def test_running_and_waiting_tasks_survive_a_change_of_the_pool(orders: Orders, converge, pools) -> None:
    numbers = range(1, 5)
    for number in numbers:
        orders.send("export", f"c-{number}", 6)
    orders.wait_for("exports", "c-1 started by exports")
    changed = {**pools, "exports": {**pools["exports"], "env": {"ORDERS_REGION": "south"}}}
    assert converge(celery_worker_pools=changed).returncode == 0
    orders.send("confirm", "c-5", queue="exports")
    orders.wait_for("confirmed", "c-5 by exports in south")
    done = [line for number in numbers for line in (f"c-{number} started by exports", f"c-{number} finished")]
    assert sorted(orders.wait_for("exports", *done)) == sorted(done)


def test_task_of_a_killed_worker_is_delivered_again(host, orders: Orders) -> None:
    # Long enough to be seen running, also on a slow machine.
    orders.send("export", "k-1", 20)
    orders.wait_for("exports", "k-1 started by exports")
    host.check_output("docker kill %s", EXPORTS)
    host.check_output("docker start %s", EXPORTS)
    trace = orders.wait_for("exports", "k-1 finished", seconds=300)
    assert trace.count("k-1 started by exports") == 2


# In every state that a broker knows: waiting in a queue, given back by a worker that stopped, fetched ahead, waiting
# for their time, to be tried again, running and acknowledged late, part of a chord and its end.
QUEUED = {"queued 0", "queued 1", "queued 2"}
GIVEN_BACK = {"given back 0", "given back 1"}
HELD = {"prefetched 0", "prefetched 1", "countdown", "retried", "late"}
CHORD = {"part 1", "part 2", "part 3", "chord"}
ROOT = f"/opt/shop/containers/{BROKER}"


def restart(host, _play: Callable, _scenario: Path) -> None:
    host.check_output("docker restart %s", BROKER)


def kill(host, _play: Callable, _scenario: Path) -> None:
    host.check_output("docker kill %s && docker start %s", BROKER, BROKER)


def replace(host, play: Callable, scenario: Path) -> None:
    identity = inspect(host, BROKER, ".Id")
    result = play(scenario / "broker.yml")
    assert result.returncode == 0, result.stdout
    assert inspect(host, BROKER, ".Id") != identity


def be_of_the_version_before(host) -> None:
    """Whose user default had no rights: what it wrote is read by this version's."""
    acl = f"{ROOT}/secrets/users.acl"
    now = host.file(acl).content_string
    before = now.replace("user default off resetpass allkeys allchannels +@all", "user default on nopass -@all +ping")
    assert before != now
    host.check_output("printf %%s %s > %s", before, acl)
    host.check_output("echo protected-mode no >> %s/config/redis.conf", ROOT)
    host.check_output("docker restart %s", BROKER)


@pytest.mark.parametrize("end", [restart, kill, replace], ids=lambda end: end.__name__)
def test_no_task_is_lost_when_its_broker_ends(host, orders: Orders, play, scenario: Path, end: Callable) -> None:
    if end is replace:
        be_of_the_version_before(host)
    for container in (DEFAULT, EXPORTS):
        wait(lambda container=container: health(host, container) == "healthy", 120, f"{container} is healthy")
    key = end.__name__
    orders.python(f"send_given({key!r})")
    assert "received" in orders.consume("given", 10)
    orders.python(f"send_all({key!r})")
    try:
        orders.wait_for(key, "part 1", "part 2 began", "part 3 began", "retried began", "late began")
        wait(lambda: orders.held(key) == HELD, 30, "all are held by workers")
        assert orders.redis("LLEN", "exports") == [str(len(QUEUED))]
        assert orders.redis("LLEN", "given") == [str(len(GIVEN_BACK))]
        end(host, play, scenario)
    finally:
        orders.python(f"store().set('gate:{key}', 1)")
    # What workers held comes back after the broker's visibility timeout.
    orders.wait_for(key, *QUEUED, *HELD, *CHORD, seconds=180)
    assert "received" in orders.consume("given", 10)
    assert set(orders.trace(key)) >= GIVEN_BACK


def test_worker_without_its_broker_becomes_unhealthy_and_recovers(host, orders: Orders) -> None:
    wait(lambda: health(host, DEFAULT) == "healthy", 60, "healthy before")
    host.check_output("docker stop %s", BROKER)
    try:
        wait(lambda: health(host, DEFAULT) == "unhealthy", 180, "unhealthy without a broker")
    finally:
        host.check_output("docker start %s", BROKER)
    wait(lambda: health(host, DEFAULT) == "healthy", 120, "healthy with its broker")
    orders.send("confirm", "b-1")
    orders.wait_for("confirmed", "b-1 by default in north")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"celery_worker_pools": {"mail": {"queue": "mail"}}},
            "celery_worker_pools.mail.queue. Supported parameters include",
        ),
        ({"celery_worker_pools": {"mail": {"pool": "fork"}}}, "value of pool must be one of: prefork, threads"),
        (
            {"celery_worker_pools": {"mail": {"concurrency": 0}}},
            "celery_worker_pools.mail: concurrency must be at least 1",
        ),
        ({"celery_worker_pools": {"mail": {"memory": "much"}}}, "celery_worker_pools.mail: memory much is not a size"),
        ({"celery_worker_pools": {"Mail!": {}}}, "celery_worker_pools.Mail!: the name may hold"),
        ({"celery_worker_log_level": "chatty"}, "value of celery_worker_log_level must be one of"),
    ],
)
def test_wrong_pools_are_refused_before_anything_changes(host, converge, change: dict, message: str) -> None:
    before = host.check_output("docker ps --no-trunc --format '{{.ID}}'")
    result = converge(**change)
    assert result.returncode != 0
    assert message in " ".join(result.stdout.split())
    assert host.check_output("docker ps --no-trunc --format '{{.ID}}'") == before


# The last one, since it takes away what the others use.
def test_pool_that_is_no_longer_named_is_removed_after_its_tasks(host, orders: Orders, converge, pools) -> None:
    orders.send("export", "p-1", 8)
    orders.wait_for("exports", "p-1 started by exports")
    fewer = {name: pool for name, pool in pools.items() if name != "exports"}
    result = converge(celery_worker_pools=fewer, backend_beat_enabled=False)
    assert result.returncode == 0, result.stdout
    assert orders.trace("exports") == ["p-1 started by exports", "p-1 finished"]
    remaining = host.check_output("docker ps -a --format '{{.Names}}' --filter name=shop-").split()
    assert sorted(remaining) == [BROKER, DEFAULT]
    assert not host.file(f"/opt/shop/containers/{EXPORTS}").exists
