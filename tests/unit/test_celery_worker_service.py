"""Pools, beat and commands on a timer: what an inventory says, judged and made containers of. No Ansible runs."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest
import yaml
from ansible_collections.broadcast.stack.plugins.plugin_utils.services.celery_worker import CeleryWorker, Pool, Timer

ROLE = yaml.safe_load((Path(__file__).parents[2] / "roles/celery_worker/vars/main.yml").read_text())
NOTED, ALIVE = {"test": ["CMD-SHELL", "the note is fresh"]}, {"test": ["CMD", "test", "-d", "/proc/1"]}
ENV, FILES, VOLUMES = {"REGION": "north", "LEVEL": "1"}, {"/etc/shop.ini": "a"}, ["files:/srv/files"]
DEFAULTS = {
    "app": "shop",
    "command": [],
    "container_prefix": "shop",
    "image": "shop/django:1",
    "user": "1:1",
    "working_dir": "/app",
    "runtime": {"env": ENV, "files": FILES, "secrets": {"key": "k"}, "secret_files": {"/etc/key": "k"}},
    "storage": {"volumes": VOLUMES, "volume_access": {"files": {"owner": "1:1"}}},
    "networks": [{"name": "data"}],
    "pools": {},
    "beat": {},
    "timers": {},
    "needs": [],
    "log_level": "INFO",
    "reload": False,
    "renamed": {},
}
FIXED = {
    "timer": {"exclusive": True, "command": ["python", "periodic.py"], "healthcheck": NOTED},
    "timer_files": {"periodic.py": "program"},
    "launcher_files": {"celery_health.py": "launcher"},
    "health_interval": 10,
    "celery_healthcheck": NOTED,
    "other_healthcheck": ALIVE,
}
LAUNCHER = ["python", "/run/config/celery_health.py"]


def service(**said: object) -> CeleryWorker:
    return CeleryWorker.read({**DEFAULTS, **said})


def container(**said: object) -> dict:
    (only,) = service(**said).containers(FIXED)
    return only


def pool(settings: dict | None = None, **said: object) -> dict:
    return container(pools={"mail": settings}, **said)


def timer(settings: dict, **said: object) -> dict:
    return container(timers={"tidy": {"command": ["shop", "tidy"], **settings}}, **said)


def beat(settings: dict | None = None, **said: object) -> dict:
    return container(beat={"enabled": True, **(settings or {})}, **said)


def test_what_an_entry_may_say_is_what_it_has():
    for kind, options in ((Pool, "__celery_worker_pool_options"), (Timer, "__celery_worker_periodic_options")):
        fields = {field.name for field in dataclasses.fields(kind)}
        assert fields - {"name", "said"} == set(ROLE[options])


def test_the_role_tells_all_that_is_read():
    assert service().containers(FIXED) == []
    told = set(ROLE["__celery_worker_service"])
    assert told == {field.name for field in dataclasses.fields(CeleryWorker)} | {"renamed"} == set(DEFAULTS)
    assert set(ROLE["__celery_worker_fixed"]) == set(FIXED)


def test_a_pool_that_says_nothing_has_the_defaults():
    assert pool() == {
        "image": "shop/django:1",
        "user": "1:1",
        "working_dir": "/app",
        "env": ENV,
        "secrets": {"key": "k", "/etc/key": "k"},
        "env_secrets": {},
        "networks": [{"name": "data"}],
        "volumes": VOLUMES,
        "volume_access": {"files": {"owner": "1:1"}},
        "tmpfs": ["/tmp"],
        "read_only": True,
        "exceptions": {},
        "cpu_shares": 512,
        "name": "shop-worker-mail",
        "command": [
            *LAUNCHER,
            "--app=shop",
            "worker",
            "--without-gossip",
            "--without-mingle",
            "--hostname=mail@%h",
            "--loglevel=INFO",
            "--pool=prefork",
            "--concurrency=2",
            "--heartbeat-interval=10",
        ],
        "files": {"/etc/shop.ini": "a", "celery_health.py": "launcher"},
        "healthcheck": NOTED,
        "memory": "512m",
        "cpus": None,
        "pids_limit": 256,
        "stop_timeout": 60,
    }


@pytest.mark.parametrize(
    ("settings", "option"),
    [
        ({"queues": ["mail", "news"]}, "--queues=mail,news"),
        ({"pool": "threads"}, "--pool=threads"),
        ({"concurrency": "7"}, "--concurrency=7"),
        ({"prefetch_multiplier": 0}, "--prefetch-multiplier=0"),
        ({"time_limit": 9}, "--time-limit=9"),
        ({"soft_time_limit": 8}, "--soft-time-limit=8"),
        ({"max_tasks_per_child": 3}, "--max-tasks-per-child=3"),
        ({"max_memory_per_child": "1.5m"}, "--max-memory-per-child=1536"),
    ],
)
def test_settings_of_a_pool_become_options(settings, option):
    assert option in pool(settings)["command"]
    assert option not in pool()["command"]


@pytest.mark.parametrize(
    ("settings", "memory"),
    [
        ({"concurrency": 8}, "1280m"),
        ({"concurrency": "8"}, "1280m"),
        ({"concurrency": 4, "max_memory_per_child": "200m"}, "1056m"),
        ({"concurrency": 4, "max_memory_per_child": "64m"}, "768m"),
        ({"concurrency": 90, "pool": "threads"}, "384m"),
        ({"concurrency": 90, "memory": "1g"}, "1g"),
    ],
)
def test_memory_of_a_pool(settings, memory):
    assert pool(settings)["memory"] == memory


@pytest.mark.parametrize(
    ("settings", "seconds"),
    [({}, 60), ({"time_limit": 90}, 100), ({"time_limit": "90"}, 100), ({"time_limit": 90, "grace": 5}, 5)],
)
def test_a_running_task_may_finish(settings, seconds):
    assert pool(settings)["stop_timeout"] == seconds


def test_threads_count_as_processes():
    assert pool({"concurrency": 200, "pool": "threads"})["pids_limit"] == 464


def test_a_command_of_its_own_is_run_as_it_is_and_healthy_while_it_lives():
    found = pool({"command": ["acme", "work"], "env": {"LEVEL": "2"}}, command=["other"])
    assert (found["command"], found["healthcheck"]) == (["acme", "work"], ALIVE)
    assert (found["env"], found["files"]) == ({"REGION": "north", "LEVEL": "2"}, FILES)
    check = {"test": ["CMD", "acme", "alive"]}
    assert pool({"command": ["acme"], "healthcheck": check})["healthcheck"] == check


def test_a_command_of_all_workers_gets_the_options():
    found = pool({"queues": ["mail"]}, command=["acme", "worker"], app="")
    assert found["command"][:3] == ["acme", "worker", "--without-gossip"]
    assert "--queues=mail" in found["command"]
    assert found["healthcheck"] == ALIVE
    assert pool(command=["celery", "--app=a", "worker"])["command"][:4] == [*LAUNCHER, "--app=a", "worker"]


def test_reloading_commands_are_one_word_for_the_shell():
    found = pool({"command": ["acme", "it's"]}, reload=True)
    assert found["command"] == ["watchfiles", "--filter", "python", "acme 'it'\"'\"'s'", "."]
    assert beat(reload=True)["command"][3].startswith("python /run/config/celery_health.py --app=shop beat")


def test_beat_remembers_in_its_volume():
    found = beat({"volume": "beat", "memory": "300m"})
    options = ["--loglevel=INFO", "--schedule=/srv/beat/celerybeat-schedule"]
    assert found["command"] == [*LAUNCHER, "--app=shop", "beat", *options]
    assert found["volumes"] == ["files:/srv/files", "beat:/srv/beat"]
    assert found["volume_access"] == {"files": {"owner": "1:1"}, "beat": {}}
    assert (found["name"], found["memory"], found["healthcheck"]) == ("shop-beat", "300m", NOTED)
    assert (found["exclusive"], found["stop_timeout"], found["networks"]) == (True, 30, [{"name": "data"}])
    assert beat({"networks": [{"name": "inward"}]})["networks"] == [{"name": "inward"}]


def test_beat_without_a_volume_or_with_a_command_of_its_own():
    found = beat({"command": ["acme", "beat"], "scheduler": "a.b:C"})
    options = ["--loglevel=INFO", "--schedule=/tmp/celerybeat-schedule", "--scheduler=a.b:C"]
    assert found["command"] == ["acme", "beat", *options]
    assert (found["volumes"], found["healthcheck"]) == (VOLUMES, ALIVE)


def test_a_timer_is_told_to_the_program_in_full():
    found = timer({"every": 60, "env": {"LEVEL": "2"}}, needs=["db:5432"])
    assert json.loads(found["files"]["periodic.json"]) == {
        "name": "tidy",
        "command": ["shop", "tidy"],
        "schedule": "",
        "every": 60,
        "timeout": 3600,
        "memory": "256m",
        "cpus": 0,
        "env": {"LEVEL": "2"},
        "working_dir": "/app",
        "needs": ["db:5432"],
    }
    assert (found["name"], found["memory"], found["stop_timeout"]) == ("shop-periodic-tidy", "256m", 600)
    assert found["env"] == {"REGION": "north", "LEVEL": "2"}
    assert FIXED["timer"].items() <= found.items()
    assert timer({"schedule": "0 3 * * *", "timeout": "20"})["stop_timeout"] == 20
    assert "needs" not in json.loads(timer({"every": 60})["files"]["periodic.json"])


RIGHT = [
    {},
    {"pools": {"a": None, "b-2": {"queues": ["x"], "grace": "5", "memory": "1.5 GiB", "max_memory_per_child": "200m"}}},
    {"pools": {"a": {"command": ["x"], "concurrency": 9, "env": {"A": "1"}}}, "app": ""},
    {"pools": {"a": {}}, "app": "", "command": ["acme", "worker"]},
    {"beat": {"enabled": True, "command": ["acme"]}, "app": ""},
    {"beat": {"enabled": False, "memory": "8m"}, "app": "", "storage": {"tmpfs": ["/x:size=64m"]}},
    {"timers": {"a": {"command": ["x"], "every": "60"}, "b": {"command": ["x"], "schedule": "*/5 1-3 * * 0"}}},
]


@pytest.mark.parametrize("said", RIGHT)
def test_nothing_is_wrong(said):
    assert service(**said).problems() == []


WRONG = [
    ({"pools": {"Mail!": {}}}, "celery_worker_pools.Mail!: the name may hold lower-case letters, digits and dashes"),
    ({"pools": {"9a": {}}}, "celery_worker_pools.9a: the name may hold lower-case letters, digits and dashes"),
    ({"pools": {"a": {"queues": []}}}, "celery_worker_pools.a: queues is empty; name at least one"),
    (
        {"pools": {"a": {"command": ["x"], "time_limit": 5, "queues": ["q"]}}},
        "celery_worker_pools.a: with a command of its own it does nothing with queues, time_limit; write them as",
    ),
    ({"pools": {"a": {"concurrency": 0}}}, "celery_worker_pools.a: concurrency must be at least 1"),
    ({"pools": {"a": {"concurrency": "many"}}}, "celery_worker_pools.a: concurrency must be at least 1"),
    ({"pools": {"a": {"grace": 0}}}, "celery_worker_pools.a: grace must be at least 1 second"),
    (
        {"pools": {"a": {"memory": "much"}}},
        "celery_worker_pools.a: memory much is not a size, or too small",
    ),
    ({"pools": {"a": {"max_memory_per_child": "lots"}}}, "celery_worker_pools.a: max_memory_per_child lots is not a"),
    ({"pools": {"a": {}}, "app": ""}, "celery_worker_app: empty, but the pool a needs it, a command of its own or"),
    ({"beat": {"enabled": True}, "app": ""}, "celery_worker_app: empty, but beat needs it, or celery_worker_beat.com"),
    ({"beat": {"healthcheck": {"retries": 3}}}, "celery_worker_beat.healthcheck: test is missing; write for example"),
    ({"timers": {"Tidy": {"every": 5}}}, "celery_worker_periodic_commands.Tidy: the name may hold lower-case letters"),
    ({"timers": {"a": {}}}, "celery_worker_periodic_commands.a: give either schedule or every"),
    (
        {"timers": {"a": {"every": 5, "schedule": "* * * * *"}}},
        "celery_worker_periodic_commands.a: give either schedule or every",
    ),
    ({"timers": {"a": {"schedule": "daily"}}}, "celery_worker_periodic_commands.a: schedule daily is no cron express"),
    ({"timers": {"a": {"schedule": "99 * * * *"}}}, "celery_worker_periodic_commands.a: schedule 99 * * * * is no"),
    ({"timers": {"a": {"every": 5, "timeout": 0}}}, "celery_worker_periodic_commands.a: timeout must be at least 1 s"),
    (
        {"pools": {"a": {"memory": "256m"}}, "storage": {"tmpfs": ["/x:size=300m"]}},
        "celery_worker_storage.tmpfs: may hold 300 MiB, which is all of celery_worker_pools.a.memory (256m) or more",
    ),
    (
        {"beat": {"enabled": True}, "storage": {"tmpfs": ["/x:size=300m"]}},
        "celery_worker_storage.tmpfs: may hold 300 MiB, which is all of celery_worker_beat.memory (256m) or more",
    ),
    (
        {"timers": {"a": {"every": 5, "memory": "64m"}}, "storage": {"tmpfs": ["/x:size=64m"]}},
        "celery_worker_storage.tmpfs: may hold 64 MiB, which is all of celery_worker_periodic_commands.a.memory (64m)",
    ),
]


@pytest.mark.parametrize(("said", "sentence"), WRONG)
def test_a_problem_is_one_sentence_that_begins_with_the_variable(said, sentence):
    (problem,) = service(**said).problems()
    assert problem.startswith(sentence)


def test_every_pool_tells_all_that_is_wrong():
    found = service(pools={"a": {"concurrency": 0, "memory": "x"}, "B": {"grace": -1}}).problems()
    assert [problem.partition(": ")[0] for problem in found] == ["celery_worker_pools.%s" % name for name in "aaBB"]


def test_what_is_still_said_under_an_old_name_wins():
    old = {"beat": {"memory": "300m", "volume": None}, "storage": {"volumes": ["x:/y"]}, "runtime": {"env": None}}
    found = beat({"memory": "200m", "volume": "beat"}, renamed=old)
    assert (found["memory"], found["volumes"]) == ("300m", ["x:/y", "beat:/srv/beat"])
    assert found["env"] == ENV


def test_a_root_that_has_to_be_writable_says_why():
    found = pool(storage={"writable_root_reason": "it compiles templates"})
    assert (found["read_only"], found["exceptions"]) == (False, {"read_only": "it compiles templates"})


def test_names_of_the_version_before_have_their_places():
    """Each is deprecated, and is no variable any more."""
    root = Path(__file__).parents[2]
    shared = yaml.safe_load((root / "meta/stack_variables.yml").read_text())
    options = yaml.safe_load((root / "roles/celery_worker/meta/argument_specs.yml").read_text())
    old = {name.split()[1] for keys in ROLE["__celery_worker_renamed"].values() for name in keys.values()}
    assert old == {name for name in shared["deprecated_variables"] if name.startswith("celery_worker_")}
    assert not old & set(options["argument_specs"]["main"]["options"])
    for part, keys in ROLE["__celery_worker_renamed"].items():
        assert set(keys) <= {field.name for field in dataclasses.fields(getattr(service(), part))}
