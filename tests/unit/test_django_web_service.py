"""Web, its processes and the release commands: what an inventory says, made containers of. No Ansible runs."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest
import yaml
from ansible_collections.broadcast.stack.plugins.plugin_utils.services.django_web import DjangoWeb, Process

ROOT = Path(__file__).parents[2]
ROLE = yaml.safe_load((ROOT / "roles/django_web/vars/main.yml").read_text())
OPTIONS = yaml.safe_load((ROOT / "roles/django_web/meta/argument_specs.yml").read_text())["argument_specs"]["main"]
PARTS = ("runtime", "storage", "limits", "server", "health", "static", "release")
DEFAULTS = {
    "container_name": "shop-web",
    "process_prefix": "shop",
    "image": "shop/django:1",
    "user": "1:1",
    "working_dir": "/app",
    "networks": [{"name": "edge", "ipv4_address": "192.0.2.9"}, {"name": "data"}],
    "published_ports": [],
    "processes": {},
    "renamed": {},
    **{part: {} for part in PARTS},
}
FIXED = {
    "host_cpus": 4,
    "probe": "ask",
    "gunicorn_env": {"HOME": "/tmp"},
    "gunicorn_files": {"gunicorn.conf.py": "gunicorn's"},
    "release_files": {"release.py": "program"},
    "process_healthcheck": {"test": ["CMD", "alive"]},
}


def service(**said: object) -> DjangoWeb:
    return DjangoWeb.read({**DEFAULTS, **said})


def web(**said: object) -> dict:
    return service(**said).containers(FIXED)[0]


def process(settings: dict, **said: object) -> dict:
    return service(processes={"ticker": {"command": ["tick"], **settings}}, **said).containers(FIXED)[1]


def option(command: list[str], name: str) -> str:
    return command[command.index(name) + 1]


def program(**said: object) -> dict:
    return json.loads(service(**said).release_container(FIXED)["files"]["release.json"])


def test_what_an_inventory_may_say_is_what_is_read():
    fields = {field.name: field for field in dataclasses.fields(DjangoWeb)}
    assert set(ROLE["__django_web_service"]) == {*fields, "renamed"} == set(DEFAULTS)
    assert set(ROLE["__django_web_fixed"]) == set(FIXED)
    assert {field.name for field in dataclasses.fields(Process)} - {"name"} == set(ROLE["__django_web_process_keys"])
    read = service()
    for part in PARTS:
        told = set(OPTIONS["options"][f"django_web_{part}"]["options"])
        assert told == {field.name for field in dataclasses.fields(getattr(read, part))}, part


def test_names_of_the_version_before_have_their_places():
    """Each is deprecated, and is no variable any more."""
    deprecated = yaml.safe_load((ROOT / "meta/stack_variables.yml").read_text())["deprecated_variables"]
    old = {name.split()[1] for part in ROLE["__django_web_renamed"].values() for name in part.values()}
    assert old == {name for name in deprecated if name.startswith("django_web_")}
    assert not old & set(OPTIONS["options"])
    read = service()
    for part, keys in ROLE["__django_web_renamed"].items():
        assert set(keys) <= {field.name for field in dataclasses.fields(getattr(read, part))}


def test_what_is_still_said_under_an_old_name_wins():
    old = {"server": {"threads": 9, "workers": None}, "limits": {"memory": "1g"}}
    found = web(server={"threads": 2, "workers": 3}, renamed=old)
    assert (option(found["command"], "--threads"), option(found["command"], "--workers")) == ("9", "3")
    assert found["memory"] == "1g"


@pytest.mark.parametrize(
    ("cpus", "memory", "workers"), [(4, "512m", 4), (8, "512m", 4), (1, "1g", 2), (1, "64m", 1), (4, "300 MiB", 2)]
)
def test_workers_follow_from_processors_and_memory(cpus, memory, workers):
    (found,) = service(limits={"memory": memory}).containers({**FIXED, "host_cpus": cpus})
    assert option(found["command"], "--workers") == str(workers)


def test_asgi_has_its_own_kind_of_workers_and_no_threads():
    command = web(server={"asgi": "shop.asgi:app", "args": ["--max-requests=9"]})["command"]
    assert option(command, "--worker-class") == "asgi"
    assert "--threads" not in command
    assert command[-2:] == ["--max-requests=9", "shop.asgi:app"]


def test_gunicorn_reads_no_file_of_ours_when_the_environment_has_its_options():
    assert "--config" in web()["command"]
    assert "--config" not in web(runtime={"env": {"GUNICORN_CMD_ARGS": "--workers=1"}})["command"]


def test_a_command_of_its_own_gets_nothing_of_gunicorn():
    found = web(server={"command": ["serve"], "trusted_proxies": ["192.0.2.0/30"]}, runtime={"files": {"/a": "b"}})
    assert (found["command"], found["files"]) == (["serve"], {"/a": "b"})
    assert found["env"] == {"FORWARDED_ALLOW_IPS": "127.0.0.1,192.0.2.0,192.0.2.1,192.0.2.2,192.0.2.3"}


def test_the_health_check_asks_the_path_with_its_host():
    found = web(health={"path": "/up", "host": "shop.example.org", "statuses": [200, 204], "timeout_seconds": "9"})
    test = ["CMD", "bash", "-c", "ask", 8000, "shop.example.org", "https", "9", "200 204", "/up"]
    assert (found["healthcheck"]["test"], found["healthcheck"]["timeout"]) == (test, "10s")


def test_a_process_is_like_web_and_says_what_it_has_of_its_own():
    plain = process({}, limits={"memory": "1g", "cpus": 2}, server={"graceful_timeout_seconds": "20"})
    assert (plain["name"], plain["memory"], plain["cpus"], plain["stop_timeout"]) == ("shop-ticker", "1g", 0, 30)
    assert (plain["networks"], plain["exclusive"]) == ([{"name": "edge"}, {"name": "data"}], False)
    assert plain["healthcheck"] == {"test": ["CMD", "alive"]}
    own = process({"memory": "64m", "stop_timeout": 0, "published_ports": ["1:1"], "env": {"A": "1"}})
    assert (own["memory"], own["stop_timeout"], own["exclusive"], own["env"]) == ("64m", 0, True, {"A": "1"})


def test_collected_static_files_are_read_by_web_and_written_by_the_release():
    static = {"volume": "static", "root": "/app/static", "command": ["collect"]}
    assert web(static=static)["volumes"] == ["static:/app/static:ro"]
    assert service(static=static).release_container(FIXED)["volumes"] == ["static:/app/static"]
    assert [command["name"] for command in program(static=static)["commands"]] == ["static"]
    copied = {**static, "command": []}
    assert web(static=copied)["volumes"] == []
    assert program(static=copied)["static"] == {"source": "/app/static", "target": "/srv/static"}


def test_the_gate_judges_the_commands_before_the_start():
    release = {"commands": [["migrate"]], "commands_after": [{"command": ["index"], "timeout": 7200}], "gate": {"a": 1}}
    assert program(release=release)["gate"] == {"a": 1}
    assert program(release={**release, "commands": []})["gate"] == {}
    one = service(release=release)
    after = json.loads(one.release_container(FIXED, after=True)["files"]["release.json"])
    assert (after["gate"], after["static"], [command["command"] for command in after["commands"]]) == (
        {},
        None,
        [["index"]],
    )
    assert (one.release_timeout(), one.release_timeout(after=True)) == (4200, 7800)


def test_release_commands_get_what_web_gets_and_more():
    runtime = {"env": {"A": "1", "B": "1"}, "secrets": {"key": "k"}, "secret_files": {"/etc/key": "k"}}
    release = {
        "commands": [{"command": ["x"], "once": True}],
        "runtime": {"env": {"B": "2"}, "secrets": {"owner": "o"}},
    }
    found = service(runtime=runtime, release=release).release_container(FIXED)
    assert found["env"] == {"A": "1", "B": "2"}
    assert found["secrets"] == {"key": "k", "owner": "o", "/etc/key": "k"}
    assert found["volumes"] == ["shop-web-releases:/srv/releases"]


def test_memory_that_temporary_files_may_fill_is_told():
    found = service(storage={"tmpfs": ["/x:size=300m"]}, limits={"memory": "256m"}).problems()
    assert [problem.partition(": ")[0] for problem in found] == ["django_web_storage.tmpfs"]
    assert "django_web_limits.memory (256m)" in found[0]
    sizes = {"a": {"memory": "64m"}, "b": {}}
    found = service(storage={"tmpfs": ["/x:size=100m"]}, processes=sizes).problems()
    assert "django_web_processes.a.memory (64m)" in found[0]
