"""Options of a Docker Engine that others have configured, merged with what a stack needs."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from ansible_collections.broadcast.stack.plugins.filter import docker_host
from ansible_collections.broadcast.stack.plugins.module_utils import engine_configuration
from ansible_collections.broadcast.stack.plugins.plugin_utils import engine_options

ADMIN = {
    "data-root": "/var/lib/docker/moved",
    "dns": ["192.0.2.53"],
    "insecure-registries": ["registry.lan:5000"],
    "log-driver": "local",
}


def pretty(options: dict) -> str:
    return json.dumps(options, indent=2, sort_keys=True) + "\n"


def host(text: str | None = None, arguments: str = "", note: dict | None = None, **engine: object) -> dict:
    """A host whose Engine runs and has a container."""
    seen = {"path": engine_configuration.FILE, "text": text, "error": "", "pid": 7, "arguments": arguments.split()}
    seen["note"] = None if note is None else pretty(note)
    running = {"installed": True, "running": True, "configuration": seen, "data_root": "/var/lib/docker"}
    return {
        "host": {"uid": 0},
        "engine": {**running, "driver": "overlay2", **engine},
        "containers": {"legacy": {}},
        "images": {},
        "volumes": {},
    }


def merge(observation: dict, **options: object) -> dict:
    return engine_options.merge(observation, {key.replace("_", "-"): value for key, value in options.items()})


def options(merged: dict) -> dict:
    assert merged["problems"] == []
    return json.loads(merged["text"])


def test_an_admins_options_stay_and_what_is_needed_comes():
    merged = merge(host(json.dumps(ADMIN)))
    assert options(merged) == {**ADMIN, "live-restore": True}
    assert merged["changes"] == ["live-restore: true"]
    # live-restore is taken from the file while the Engine runs.
    assert not merged["restart"]
    assert json.loads(merged["note"]) == {"live-restore": True}


def test_a_run_that_changes_nothing_leaves_the_admins_form():
    text = '{"live-restore":true,   "debug":false}'
    merged = merge(host(text))
    assert (merged["changes"], merged["text"]) == ([], text)


def test_the_value_of_an_admin_that_would_stop_containers_is_named():
    merged = merge(host('{"live-restore": false}'))
    assert merged["changes"] == ["live-restore: true instead of false"]
    assert merge(host('{"live-restore": false}'), live_restore=False)["changes"] == []


def test_the_inventory_adds_to_lists_and_dictionaries():
    present = {"insecure-registries": ["a:5000"], "log-opts": {"tag": "x"}, "live-restore": True}
    merged = merge(host(pretty(present)), insecure_registries=["b:5000"], log_opts={"max-size": "5m"})
    assert options(merged) == {
        "insecure-registries": ["a:5000", "b:5000"],
        "live-restore": True,
        "log-opts": {"max-size": "5m", "tag": "x"},
    }
    assert merged["restart"]


def test_what_the_inventory_added_goes_again_and_nothing_else():
    present = {"insecure-registries": ["a:5000"], "debug": True, "live-restore": True}
    first = merge(host(pretty(present)), insecure_registries=["a:5000", "b:5000"], debug=True, labels=["x=1"])
    note = json.loads(first["note"])
    assert note == {"insecure-registries": ["b:5000"], "labels": ["x=1"]}
    again = merge(host(first["text"], note=note), insecure_registries=["a:5000", "b:5000"], debug=True, labels=["x=1"])
    assert again["changes"] == []
    gone = merge(host(first["text"], note=note))
    assert options(gone) == present
    assert gone["note"] == ""
    # A reload sets labels, and does not take them away.
    assert (first["restart"], gone["restart"]) == (False, True)


def test_a_new_engine_gets_an_own_way_to_publish_ports_that_stays():
    bare = host(None)
    bare["engine"].update(installed=False, running=False)
    merged = merge(bare)
    assert options(merged) == {"live-restore": True, "userland-proxy": False}
    assert merge(host(merged["text"], note=json.loads(merged["note"])))["changes"] == []
    # Not where somebody has said otherwise before.
    bare["engine"]["configuration"]["text"] = '{"userland-proxy": true}'
    assert options(merge(bare))["userland-proxy"] is True


def test_the_file_of_the_first_versions_is_ours():
    old = {**engine_options.FIRST_VERSIONS, "labels": ["tier=test"], "data-root": "/data"}
    merged = merge(host(pretty(old)), labels=["tier=test"], data_root="/data")
    assert options(merged) == {
        "data-root": "/data",
        "labels": ["tier=test"],
        "live-restore": True,
        "userland-proxy": False,
    }
    assert merged["changes"] == [
        'log-driver goes, was "json-file"',
        'log-opts goes, was {"max-file": "3", "max-size": "10m"}',
        "no-new-privileges goes, was true",
    ]
    assert (
        merge(host(merged["text"], note=json.loads(merged["note"])), labels=["tier=test"], data_root="/data")["changes"]
        == []
    )


@pytest.mark.parametrize(
    "text",
    [
        json.dumps(engine_options.FIRST_VERSIONS),
        pretty({**engine_options.FIRST_VERSIONS, "log-opts": {"max-size": "1m"}}),
    ],
)
def test_a_file_that_only_resembles_ours_is_an_admins(text):
    assert options(merge(host(text)))["no-new-privileges"] is True


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("data-root", "/srv/docker"),
        ("graph", "/srv/docker"),
        ("storage-driver", "btrfs"),
        ("storage-opts", ["dm.basesize=20G"]),
        ("userns-remap", "default"),
        ("features", {"containerd-snapshotter": True}),
        ("containerd-namespace", "shop"),
    ],
)
def test_what_would_hide_data_is_refused(option, value):
    observation = host(json.dumps(ADMIN))
    (problem,) = engine_options.merge(observation, {option: value})["problems"]
    assert problem.startswith("docker_host_daemon_options.%s: " % option)
    assert "would hide" in problem
    # Of an Engine that does not run nobody knows what it has.
    observation["engine"]["running"], observation["containers"] = False, {}
    assert engine_options.merge(observation, {option: value})["problems"]
    observation["engine"].update(running=False, installed=False)
    assert engine_options.merge(observation, {option: value})["problems"] == []


def test_what_names_the_place_that_data_has_already_is_no_change_of_it():
    assert merge(host(), data_root="/var/lib/docker", storage_driver="overlay2")["problems"] == []


def test_an_option_is_no_flag_and_a_key_at_once():
    assert merge(host(arguments="-H fd:// --live-restore"))["changes"] == []
    assert merge(host(arguments="--label tier=web --live-restore=true"), labels=["tier=web"])["changes"] == []
    (problem,) = merge(host(arguments="--live-restore=false"))["problems"]
    assert "live-restore: is false by a flag" in problem
    (problem,) = merge(host(arguments="-H fd://"), hosts=["unix:///var/run/docker.sock"])["problems"]
    assert "hosts: is fd:// by a flag" in problem


@pytest.mark.parametrize(
    ("text", "where"),
    [('{\n  "debug" true\n}', ":2: no valid JSON"), ("[]", ":1: no JSON object"), ("{'a': 1}", ":1: no valid JSON")],
)
def test_a_broken_file_is_named_with_its_line(text, where):
    merged = merge(host(text))
    (problem,) = merged["problems"]
    assert problem.startswith(engine_configuration.FILE + where)
    assert (merged["changes"], merged["text"]) == ([], text)


def test_swarm_mode_excludes_live_restore():
    assert merge(host(swarm=True))["changes"] == []
    (problem,) = merge(host(swarm=True), live_restore=True)["problems"]
    assert "Swarm" in problem


def test_a_plan_shows_no_password():
    merged = merge(host(), proxies={"http-proxy": "http://joe:secret@proxy:3128"})
    assert "secret" not in str(merged["changes"])
    assert "proxy:3128" in str(merged["changes"])


def test_an_engine_that_is_left_alone_is_not_changed():
    assert docker_host.engine(host(), {}, manage=True, change=True)["due"]
    assert not docker_host.engine(host(), {}, manage=True, change=False)["due"]
    assert not docker_host.engine(host("{"), {}, manage=False, change=True)["problems"]
    assert docker_host.problems({"debug": True}, host(), manage=False, wanted={})


@pytest.mark.parametrize(
    ("options", "word"),
    [
        ({"hosts": ["unix:///run/other.sock"]}, "list that as well"),
        ({"iptables": False}, "no published ports"),
    ],
)
def test_options_that_no_stack_can_run_with_are_refused(options, word):
    assert any(word in problem for problem in docker_host.problems(options, host(), manage=True, wanted={}))


def test_an_engine_that_a_stack_cannot_run_on_is_named():
    assert "userns-remap" in docker_host.problems({}, host(remaps_users=True), manage=False, wanted={})[0]
    assert "iptables" in docker_host.problems({}, host('{"iptables": false}'), manage=False, wanted={})[0]
    assert "iptables" in docker_host.problems({}, host(arguments="--iptables=false"), manage=False, wanted={})[0]
    assert docker_host.problems({}, host(json.dumps(ADMIN)), manage=True, wanted={}) == []


def test_flags_are_read_as_the_engine_reads_them():
    found = engine_configuration.flags(
        [
            "-H",
            "fd://",
            "--data-root=/x",
            "--label",
            "a=1",
            "--label",
            "b=2",
            "-D",
            "-s",
            "overlay2",
            "--dns",
            "192.0.2.1",
        ]
    )
    assert found == {
        "hosts": ["fd://"],
        "data-root": ["/x"],
        "labels": ["a=1", "b=2"],
        "debug": ["true"],
        "storage-driver": ["overlay2"],
        "dns": ["192.0.2.1"],
    }


def test_the_arguments_of_a_service_are_its_units_and_drop_ins(tmp_path: Path):
    for path, text in {
        "usr/lib/systemd/system/docker.service": "[Service]\nEnvironmentFile=-/etc/default/docker\n"
        "ExecStart=/usr/sbin/dockerd -H fd:// \\\n  $DOCKER_OPTS\n",
        "etc/default/docker": '# DOCKER_OPTS="--no"\nDOCKER_OPTS="--data-root /srv --debug"\n',
    }.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text)
    assert engine_configuration.service_arguments(True, str(tmp_path)) == [
        "-H",
        "fd://",
        "--data-root",
        "/srv",
        "--debug",
    ]
    # Without systemd nothing hands the Engine a socket.
    assert engine_configuration.service_arguments(False, str(tmp_path)) == ["--data-root", "/srv", "--debug"]
    drop_in = tmp_path / "etc/systemd/system/docker.service.d/override.conf"
    drop_in.parent.mkdir(parents=True)
    drop_in.write_text("[Service]\nExecStart=\nExecStart=/usr/bin/dockerd --live-restore=false\n")
    assert engine_configuration.service_arguments(True, str(tmp_path)) == ["--live-restore=false"]


def test_the_engines_process_is_found_without_its_usual_file(tmp_path: Path):
    for pid, (own, command) in {
        "10": ("pid:[1]", b"/usr/bin/python3\0dockerd\0"),
        "11": ("pid:[2]", b"dockerd\0--nested\0"),
        "12": ("pid:[1]", b"/usr/bin/dockerd\0--config-file=/srv/daemon.json\0"),
        "self": ("pid:[1]", b""),
    }.items():
        (tmp_path / pid / "ns").mkdir(parents=True)
        os.symlink(own, tmp_path / pid / "ns" / "pid")
        (tmp_path / pid / "cmdline").write_bytes(command)
    found = engine_configuration.running(str(tmp_path / "docker.pid"), str(tmp_path))
    assert found == (12, ["--config-file=/srv/daemon.json"])
