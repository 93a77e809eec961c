"""What an application and an intruder see of the two instances."""

from __future__ import annotations

import json
import shlex

import pytest

PASSWORDS = {
    "shop-redis-broker": "bro'ker \"{{ 7 * 7 }} #secret\\",
    "shop-redis-cache": "canary-redis-cache-d05e",
}
BROKER, CACHE = PASSWORDS
INSTANCES = pytest.mark.parametrize("instance", PASSWORDS)


class Client:
    """redis-cli inside the container of an instance, as the application's user or as nobody."""

    def __init__(self, host) -> None:
        self.host = host

    def anonymous(self, instance: str, *command: str) -> str:
        return self._run(f"docker exec {instance} redis-cli {shlex.join(command)}")

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
def test_nobody_without_a_password_may_do_more_than_ping(redis: Client, instance: str) -> None:
    assert redis.anonymous(instance, "PING") == "PONG"
    for command in (["GET", "greeting"], ["SET", "a", "b"], ["INFO"], ["PUBLISH", "news", "x"], ["CONFIG", "GET", "*"]):
        assert redis.anonymous(instance, *command).startswith("NOPERM"), command


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


def test_broker_keeps_its_data_when_it_is_killed(host, redis: Client) -> None:
    redis.app(BROKER, "SET", "kept", "yes")
    # Written to the file at once, synchronised every second.
    host.check_output("sleep 2 && docker kill %s && docker start %s", BROKER, BROKER)
    host.run_expect([0], f"timeout 60 sh -c 'until docker exec {BROKER} redis-cli -e PING; do sleep 1; done'")
    assert redis.app(BROKER, "GET", "kept") == "yes"


def test_cache_forgets_when_it_is_restarted(host, redis: Client) -> None:
    redis.app(CACHE, "SET", "kept", "no")
    host.check_output("docker restart %s", CACHE)
    host.run_expect([0], f"timeout 60 sh -c 'until docker exec {CACHE} redis-cli -e PING; do sleep 1; done'")
    assert redis.app(CACHE, "GET", "kept") == ""


def test_changed_setting_replaces_the_container_and_keeps_its_data(host, redis: Client, converge) -> None:
    before = host.check_output("docker inspect -f '{{.Id}}' %s", BROKER)
    redis.app(BROKER, "SET", "kept", "still")
    result = converge(scenario_broker={"maxmemory": "9mb"})
    assert result.returncode == 0, result.stdout
    assert host.check_output("docker inspect -f '{{.Id}}' %s", BROKER) != before
    assert redis.app(BROKER, "GET", "kept") == "still"
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
    assert limits["ReadonlyRootfs"]
    assert not limits["CapAdd"]


@INSTANCES
def test_password_is_nowhere_but_in_the_heads_of_its_users(host, instance: str, keepers) -> None:
    password = PASSWORDS[instance]
    seen = host.check_output("docker inspect %s && docker logs %s 2>&1 && ps axww", instance, instance)
    assert password not in seen
    assert keepers("-F", password, "/opt/shop", "/var/lib/docker/containers") == set()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"scenario_broker": {"maxmemory_policy": "keep-all"}},
            "value of maxmemory_policy must be one of: noeviction, allkeys-lru",
        ),
        ({"scenario_broker": {"maxmemory": "plenty"}}, "redis_instances.broker: maxmemory plenty is not a size"),
        ({"scenario_broker": {"maxmemory_polcy": "noeviction"}}, "maxmemory_polcy. Supported parameters include"),
        (
            {"redis_instances": {"broker": {}}},
            "missing required arguments: password found in redis_instances -> broker",
        ),
        ({"redis_instances": {"Big Cache": {"password": "x"}}}, "redis_instances.Big Cache: the name may hold"),
    ],
)
def test_wrong_instances_are_refused_before_anything_changes(host, converge, change: dict, message: str) -> None:
    before = host.check_output("docker ps --no-trunc --format '{{.ID}}'")
    result = converge(**change)
    assert result.returncode != 0
    assert message in " ".join(result.stdout.split())
    assert host.check_output("docker ps --no-trunc --format '{{.ID}}'") == before
