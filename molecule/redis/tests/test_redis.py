"""What an application and an intruder see of the two instances."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import pytest

PASSWORDS = {
    "shop-redis-broker": "bro'ker \"{{ 7 * 7 }} #secret\\",
    "shop-redis-cache": "canary-redis-cache-d05e",
}
BROKER, CACHE = PASSWORDS
INSTANCES = pytest.mark.parametrize("instance", PASSWORDS)
HEALTH = "--user health --pass none --no-auth-warning"
ACL = f"/opt/shop/containers/{BROKER}/secrets/users.acl"


class Client:
    """redis-cli inside the container of an instance, as the application's user or as nobody."""

    def __init__(self, host) -> None:
        self.host = host

    def anonymous(self, instance: str, *command: str) -> str:
        return self._run(f"docker exec {instance} redis-cli {shlex.join(command)}")

    def health(self, instance: str, *command: str) -> str:
        return self._run(f"docker exec {instance} redis-cli {HEALTH} {shlex.join(command)}")

    def wait(self, instance: str) -> None:
        ping = f"docker exec {instance} redis-cli {HEALTH} -e PING"
        self.host.run_expect([0], f"timeout 60 sh -c 'until {ping}; do sleep 1; done'")

    def app_lines(self, instance: str, *lines: str) -> str:
        """Commands one after the other in one connection, as a transaction needs it."""
        call = self.app_shell(instance, "").replace("docker exec", "docker exec -i", 1)
        return self._run(f"printf '%s\\n' {shlex.join(lines)} | {call}")

    def app(self, instance: str, *command: str) -> str:
        return self._run(self.app_shell(instance, shlex.join(command)))

    def app_shell(self, instance: str, command: str) -> str:
        secret = shlex.quote(PASSWORDS[instance])
        return f"docker exec -e REDISCLI_AUTH={secret} {instance} redis-cli --user app --no-auth-warning {command}"

    def fill(self, instance: str, megabytes: int) -> str:
        """Write megabytes of different keys, one per call, since memory is only checked between commands."""
        script = "for i = 1, 1024 do redis.call('SET', ARGV[1] .. ':' .. i, string.rep('x', 1024)) end return 'ok'"
        call = self.app_shell(instance, f'EVAL {shlex.quote(script)} 0 "block$n"')
        return self._run(f"for n in $(seq {megabytes}); do {call}; done")

    def _run(self, command: str) -> str:
        result = self.host.run("sh -c %s", command)
        return (result.stdout + result.stderr).strip()


@pytest.fixture
def redis(host) -> Client:
    return Client(host)


@INSTANCES
def test_application_reads_what_it_wrote(redis: Client, instance: str) -> None:
    assert redis.app(instance, "SET", "greeting", "hello") == "OK"
    assert redis.app(instance, "GET", "greeting") == "hello"


@INSTANCES
def test_application_receives_what_is_published(host, redis: Client, instance: str) -> None:
    listen = redis.app_shell(instance, "SUBSCRIBE news").replace("redis-cli", "timeout 60 redis-cli", 1)
    publish = redis.app_shell(instance, "PUBLISH news fire")
    # The answer is the number of those who heard it.
    until = f'for n in $(seq 100); do [ "$({publish})" = 1 ] && break; sleep 0.2; done'
    heard = host.run(
        "sh -c %s",
        f"{listen} > /tmp/heard & {until}; for n in $(seq 100); do "
        "grep -q fire /tmp/heard && break; sleep 0.2; done; kill $!; cat /tmp/heard",
    )
    assert "message\nnews\nfire" in heard.stdout


@INSTANCES
def test_nobody_without_a_password_may_do_more_than_ping_and_read_counters(redis: Client, instance: str) -> None:
    """A status reads how full it is."""
    assert redis.health(instance, "PING") == "PONG"
    assert "used_memory:" in redis.health(instance, "INFO")
    for command in (["PING"], ["INFO"]):
        assert redis.anonymous(instance, *command).startswith("NOAUTH"), command
    for command in (["GET", "greeting"], ["SET", "a", "b"], ["PUBLISH", "news", "x"], ["CONFIG", "GET", "*"]):
        assert redis.health(instance, *command).startswith("NOPERM"), command
        assert redis.anonymous(instance, *command).startswith("NOAUTH"), command


@INSTANCES
@pytest.mark.parametrize("password", ["", "none", "default"])
def test_nobody_is_the_user_as_whom_the_server_replays_its_file(redis: Client, instance: str, password: str) -> None:
    for login in (["default", password], [password]):
        assert redis.anonymous(instance, "AUTH", *login).startswith("WRONGPASS"), login


def test_password_of_one_instance_does_not_open_the_other(redis: Client) -> None:
    assert "WRONGPASS" in redis.anonymous(BROKER, "AUTH", "app", PASSWORDS[CACHE])


@INSTANCES
def test_application_cannot_inspect_reconfigure_or_stop_the_server(redis: Client, instance: str) -> None:
    refused = ["CONFIG GET maxmemory", "CONFIG SET maxmemory 0", "ACL LIST", "KEYS *", "MONITOR"]
    refused += ["FLUSHALL", "SHUTDOWN", "REPLICAOF 192.0.2.1 6379", "CLIENT LIST", "SAVE", "MODULE LIST", "SWAPDB 0 1"]
    for command in refused:
        assert redis.app(instance, *command.split()).startswith("NOPERM"), command


@INSTANCES
def test_application_may_do_what_client_libraries_ask_for(redis: Client, instance: str) -> None:
    assert redis.app(instance, "SELECT", "1") == "OK"
    assert "redis_version:8" in redis.app(instance, "INFO", "server")
    assert redis.app(instance, "CLIENT", "SETINFO", "LIB-NAME", "redis-py") == "OK"
    assert redis.app(instance, "CLIENT", "SETNAME", "worker") == "OK"
    assert redis.app(instance, "EVAL", "return redis.call('INCR', KEYS[1])", "1", "counter") == "1"
    assert redis.app(instance, "SCAN", "0", "MATCH", "coun*", "COUNT", "1000")


def test_only_the_instance_that_evicts_can_be_flushed(redis: Client) -> None:
    assert redis.app(BROKER, "-n", "3", "FLUSHDB").startswith("NOPERM")
    assert redis.app(CACHE, "-n", "3", "FLUSHDB") == "OK"


def test_full_cache_drops_old_keys_and_accepts_new_ones(redis: Client) -> None:
    answer = redis.fill(CACHE, 16)
    assert "OOM" not in answer
    assert int(redis.app(CACHE, "DBSIZE")) < 16 * 1024
    stats = dict(line.split(":") for line in redis.app(CACHE, "INFO", "stats").split() if ":" in line)
    assert int(stats["evicted_keys"]) > 0
    assert redis.app(CACHE, "SET", "new", "one") == "OK"


def test_full_broker_refuses_writes_and_loses_nothing(redis: Client) -> None:
    redis.app(BROKER, "RPUSH", "queue", "task")
    try:
        answer = redis.fill(BROKER, 16)
        assert "OOM command not allowed" in answer
        assert int(redis.app(BROKER, "DBSIZE")) >= answer.count("ok") * 1024
        assert redis.app(BROKER, "SET", "new", "one").startswith("OOM")
        assert redis.app(BROKER, "LRANGE", "queue", "0", "0") == "task"
    finally:
        sweep = "for n = 1, 16 do for i = 1, 1024 do redis.call('UNLINK', 'block' .. n .. ':' .. i) end end"
        redis.app(BROKER, "EVAL", sweep, "0")


# One of each kind in which the append-only file holds writes; only the first is not a transaction there.
WRITES = {
    "plain": ["SET {key}:plain 1"],
    "transaction": ["MULTI", "ZADD {key}:index 1 tag", "HSET {key}:held tag task", "EXEC"],
    "script": ["EVAL \"redis.call('SET', KEYS[1], 1) return redis.call('RPUSH', KEYS[2], 1)\" 2 {key}:one {key}:many"],
    "function": ["FCALL both 2 {key}:left {key}:right"],
    "other database": ["SELECT 3", "MULTI", "SET {key}:far 1", "SET {key}:farther 1", "EXEC"],
}
WRITTEN = ["plain", "index", "held", "one", "many", "left", "right"], ["far", "farther"]
LIBRARY = """#!lua name=pair
redis.register_function('both', function(keys) for _, key in ipairs(keys) do redis.call('SET', key, 1) end end)"""


def write_all_kinds(redis: Client, key: str) -> None:
    assert redis.app(BROKER, "FUNCTION", "LOAD", "REPLACE", LIBRARY) == "pair"
    for kind, lines in WRITES.items():
        answers = redis.app_lines(BROKER, *(line.format(key=key) for line in lines))
        assert "ERR" not in answers, (kind, answers)


def lost(redis: Client, key: str) -> list[str]:
    """What was written and is not there any more."""
    return [
        name
        for database, names in zip(("0", "3"), WRITTEN, strict=True)
        for name in names
        if redis.app(BROKER, "-n", database, "EXISTS", f"{key}:{name}") != "1"
    ]


@pytest.mark.parametrize("end", ["stop", "kill", "kill again"])
def test_broker_keeps_all_that_was_written_when_it_ends(host, redis: Client, end: str) -> None:
    key = end.replace(" ", "-")
    write_all_kinds(redis, key)
    assert lost(redis, key) == []
    # What was answered is in the file when the process dies; only the machine's death takes the last second.
    for _ in range(2 if end == "kill again" else 1):
        host.check_output("docker %s %s && docker start %s", end.split()[0], BROKER, BROKER)
        redis.wait(BROKER)
    assert lost(redis, key) == []
    assert "1" in redis.app(BROKER, "FCALL", "both", "1", f"{key}:again") + redis.app(BROKER, "GET", f"{key}:again")


def test_broker_keeps_what_the_machine_wrote_before_it_lost_power(host, redis: Client) -> None:
    """The file then ends in the middle of a command."""
    write_all_kinds(redis, "power")
    redis.app_lines(BROKER, "MULTI", "SET power:cut 1", "SET power:off 1", "EXEC")
    host.check_output("docker kill %s", BROKER)
    data = host.check_output("docker volume inspect -f '{{.Mountpoint}}' %s", BROKER)
    host.check_output(f"truncate --size=-9 $(ls -t {data}/appendonlydir/*.incr.aof | head -1)")
    host.check_output("docker start %s", BROKER)
    redis.wait(BROKER)
    assert lost(redis, "power") == []
    # All or nothing of a transaction.
    assert redis.app(BROKER, "EXISTS", "power:cut", "power:off") == "0"
    assert redis.app(BROKER, "SET", "power:on", "1") == "OK"


def test_broker_of_the_version_before_loses_nothing_when_it_is_replaced(host, redis: Client, converge) -> None:
    """Its file, and what earlier restarts had forgotten from it, is replayed with the rights of this version."""
    now = host.file(ACL).content_string
    before = now.replace("user default off resetpass allkeys allchannels +@all", "user default on nopass -@all +ping")
    assert before != now
    host.check_output("printf %%s %s > %s", before, ACL)
    host.check_output("docker restart %s", BROKER)
    host.run_expect([0], f"timeout 60 sh -c 'until docker exec {BROKER} redis-cli -e PING; do sleep 1; done'")
    write_all_kinds(redis, "forgotten")
    host.check_output("docker restart %s", BROKER)
    host.run_expect([0], f"timeout 60 sh -c 'until docker exec {BROKER} redis-cli -e PING; do sleep 1; done'")
    assert lost(redis, "forgotten"), "this is no server of the version before"
    write_all_kinds(redis, "held")
    identity = host.check_output("docker inspect -f '{{.Id}}' %s", BROKER)
    result = converge()
    assert result.returncode == 0, result.stdout
    assert host.check_output("docker inspect -f '{{.Id}}' %s", BROKER) != identity
    assert host.file(ACL).content_string == now
    assert lost(redis, "held") == lost(redis, "forgotten") == []


def documented(heading: str) -> str:
    """The script of a part of docs/operations.md, whose stack has the scenario's name."""
    part = (Path(__file__).parents[3] / "docs/operations.md").read_text().partition(f"### {heading}\n")[2]
    block = part.partition("```bash\n")[2].partition("```")[0]
    assert block, heading
    return block


def test_file_that_is_damaged_is_mended_by_the_documented_commands(host, redis: Client) -> None:
    write_all_kinds(redis, "sound")
    host.check_output("docker stop %s", BROKER)
    data = host.check_output("docker volume inspect -f '{{.Mountpoint}}' %s", BROKER)
    host.check_output(f"printf '*3\\r\\n$9\\r\\nnonsense' >> $(ls -t {data}/appendonlydir/*.incr.aof | head -1)")
    host.check_output(f"printf '%01000d' 0 >> $(ls -t {data}/appendonlydir/*.incr.aof | head -1)")
    host.check_output("docker start %s", BROKER)
    until = f"until docker logs --since 1m {BROKER} 2>&1 | grep -q 'Bad file format'; do sleep 1; done"
    host.run_expect([0], f"timeout 60 sh -c {shlex.quote(until)}")
    host.check_output("sh -ec %s", documented("Mend the file of an instance"))
    redis.wait(BROKER)
    assert lost(redis, "sound") == []
    assert redis.app(BROKER, "SET", "mended", "1") == "OK"


def test_instance_begins_empty_after_the_documented_commands(host, redis: Client) -> None:
    write_all_kinds(redis, "unwanted")
    host.check_output("sh -ec %s", documented("Empty an instance"))
    redis.wait(BROKER)
    assert redis.app(BROKER, "DBSIZE") == "0"
    host.check_output("docker restart %s", BROKER)
    redis.wait(BROKER)
    assert redis.app(BROKER, "DBSIZE") == "0"
    write_all_kinds(redis, "wanted")


def test_full_directory_of_the_cache_is_told_and_kills_nobody(host, redis: Client) -> None:
    started = host.check_output("docker inspect -f '{{.State.StartedAt}}' %s", CACHE)
    result = host.run("docker exec %s dd if=/dev/zero of=/var/lib/redis/full bs=1M count=700", CACHE)
    assert "No space left on device" in result.stderr
    assert redis.app(CACHE, "SET", "alive", "1") == "OK"
    host.check_output("docker exec %s rm /var/lib/redis/full", CACHE)
    assert host.check_output("docker inspect -f '{{.State.StartedAt}}' %s", CACHE) == started


@pytest.mark.parametrize("end", ["stop", "kill"])
def test_cache_forgets_when_it_ends_and_serves_again(host, redis: Client, end: str) -> None:
    redis.app(CACHE, "SET", "kept", "no")
    host.check_output("docker %s %s && docker start %s", end, CACHE, CACHE)
    redis.wait(CACHE)
    assert redis.app(CACHE, "GET", "kept") == ""


def test_changed_setting_replaces_the_container_and_keeps_its_data(host, redis: Client, converge) -> None:
    before = host.check_output("docker inspect -f '{{.Id}}' %s", BROKER)
    write_all_kinds(redis, "replaced")
    result = converge(scenario_broker={"maxmemory": "9mb"})
    assert result.returncode == 0, result.stdout
    assert host.check_output("docker inspect -f '{{.Id}}' %s", BROKER) != before
    assert lost(redis, "replaced") == []
    assert "maxmemory:9437184" in redis.app(BROKER, "INFO", "memory")


def test_an_application_that_needs_a_command_is_given_it(redis: Client, converge) -> None:
    own = {"maxmemory": "9mb"}
    assert converge(scenario_broker={**own, "commands": ["keys", "client|list"]}).returncode == 0
    assert "NOPERM" not in redis.app(BROKER, "KEYS", "no-such-*") + redis.app(BROKER, "CLIENT", "LIST")
    assert redis.app(BROKER, "FLUSHALL").startswith("NOPERM")
    assert converge(scenario_broker=own).returncode == 0


@INSTANCES
def test_limits_follow_from_the_memory_for_data(host, instance: str) -> None:
    limits = json.loads(host.check_output("docker inspect -f '{{json .HostConfig}}' %s", instance))
    # Twice the data for rewriting the append-only file, a quarter more without one, and 64 MiB for the server.
    expected = {BROKER: 64 + 18, CACHE: 64 + 10}
    assert limits["Memory"] == expected[instance] * 2**20
    assert limits["CpuShares"] == 2048
    assert limits["ReadonlyRootfs"]
    assert not limits["CapAdd"]


@INSTANCES
def test_password_is_nowhere_but_in_the_heads_of_its_users(host, instance: str, keepers) -> None:
    password = PASSWORDS[instance]
    seen = host.check_output("docker inspect %s && docker logs %s 2>&1 && ps axww", instance, instance)
    assert password not in seen
    assert keepers("-F", password, "/opt/shop", "/var/lib/docker/containers") == set()


# One run each: whatever a check finds wrong is reported at once.
@pytest.mark.parametrize(
    ("instances", "messages"),
    [
        (
            {"broker": {"maxmemory_policy": "keep-all"}, "cache": {"maxmemory_polcy": "noeviction", "password": "x"}},
            [
                "value of maxmemory_policy must be one of: noeviction, allkeys-lru",
                "missing required arguments: password found in redis_instances -> broker",
                "maxmemory_polcy. Supported parameters include",
            ],
        ),
        (
            {"broker": {"maxmemory": "plenty", "password": "x"}, "Big Cache": {"password": "x"}},
            ["redis_instances.broker: maxmemory plenty is not a size", "redis_instances.Big Cache: the name may hold"],
        ),
    ],
)
def test_wrong_instances_are_refused_before_anything_changes(
    host, converge, instances: dict, messages: list[str]
) -> None:
    before = host.check_output("docker ps --no-trunc --format '{{.ID}}'")
    result = converge(redis_instances=instances)
    assert result.returncode != 0
    answer = " ".join(result.stdout.split())
    assert [message for message in messages if message not in answer] == []
    assert host.check_output("docker ps --no-trunc --format '{{.ID}}'") == before
