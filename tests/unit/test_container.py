"""What has to be done for a specification on a host, decided without touching it."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
import yaml
from ansible_collections.broadcast.stack.plugins.module_utils import firewall
from ansible_collections.broadcast.stack.plugins.plugin_utils.containers import (
    changes,
    comparison,
    docker_options,
    loading,
    rendering,
    shown,
    specification,
)
from ansible_collections.community.docker.plugins.module_utils._api.utils.utils import parse_env_file

ROOT = Path(__file__).resolve().parents[2]
POLICY = {"read_only": True, "cap_drop": ["ALL"], "restart_policy": "unless-stopped", "pids_limit": 256, "init": True}
SETTINGS = {"stack": "shop", "root": "/srv/shop", "user": "", "role": "web", "managed": "Ansible managed"}
SPEC = {
    "name": "shop-web",
    "image": "shop/django:1",
    "user": "10003:10003",
    "memory": "64m",
    "env": {"B": 2, "A": "1"},
    "files": {"app.conf": "x\n"},
    "secrets": {"key": "value"},
    "networks": [{"name": "shop-edge", "ipv4_address": None}],
    "healthcheck": {"test": ["CMD", "true"], "interval": None},
    "command": None,
}


def host(spec=SPEC, **container_changes):
    """An observation in which the container of spec is exactly as wished, but for container_changes."""
    rendered = rendering.directories(spec, "/srv/shop", "Ansible managed", "", 0)
    options = docker_options.arguments(spec, POLICY, "/srv/shop", "")
    files = {
        "%s/%s" % (directory["path"], name): {
            "sha256": hashlib.sha256(text.encode()).hexdigest(),
            **{key: {**directory, **directory.get("access", {}).get(name, {})}[key] for key in ("mode", "uid", "gid")},
        }
        for directory in rendered.values()
        for name, text in directory["files"].items()
    }
    state = {
        "image": spec["image"],
        "image_id": "sha256:1",
        "stack": "shop",
        "role": "web",
        "checksum": docker_options.checksum(specification.normalise(spec), options, "Ansible managed"),
        "status": "running",
        "health": "healthy",
        "networks": {"shop-edge": "10.0.0.2"},
        "memory": 64 * 2**20,
        "nano_cpus": 0,
        "pids_limit": 256,
        "restart_policy": "unless-stopped",
        **container_changes,
    }
    return {
        "engine": {"running": True, "error": "", "api_version": "1.41"},
        "host": {"uid": 0},
        "files": files,
        "containers": {spec["name"]: state},
        "images": {"shop/django:1": {"id": "sha256:1"}},
        "volumes": {},
    }


def differences(observation, spec=SPEC):
    return comparison.differences([spec], observation, POLICY, SETTINGS)


def test_nothing_is_planned_for_a_container_as_wished():
    assert differences(host()) == []


def test_a_missing_container_is_created_with_policy_mounts_and_checksum():
    observation = {**host(), "containers": {}}
    (step,) = differences(observation)
    assert step["reasons"] == ["is missing"]
    arguments = step["arguments"]
    assert arguments["recreate"] is False
    assert arguments["read_only"] is True
    assert arguments["cap_drop"] == ["ALL"]
    assert arguments["memory_swap"] == "64m"
    assert "/srv/shop/shop-web/secrets:/run/secrets:ro" in arguments["volumes"]
    assert "/srv/shop/shop-web/config:/run/config:ro" in arguments["volumes"]
    assert len(arguments["labels"]["broadcast.stack.checksum"]) == 64
    assert "command" not in arguments
    assert arguments["networks"] == [{"name": "shop-edge"}]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"env": {"A": "2", "B": 2}}, "env/container.env changed"),
        ({"files": {"app.conf": "y\n"}}, "config/app.conf changed"),
        ({"files": {"app.conf": "x\n", "new": "1"}}, "config/new is missing"),
        ({"files": {}}, "config/app.conf is not ours"),
        ({"secrets": {"key": "other"}}, "secrets/key changed"),
        ({"image": "shop/django:2"}, "image shop/django:2 instead of shop/django:1"),
        ({"command": ["true"]}, "specification changed"),
        ({"memory": "128m"}, "specification changed"),
    ],
)
def test_a_changed_specification_recreates_and_says_why(change, reason):
    (step,) = differences(host(), {**SPEC, **change})
    assert reason in step["reasons"]
    assert step["arguments"]["recreate"] is True


@pytest.mark.parametrize(
    ("drift", "reason", "recreate"),
    [
        ({"status": "exited"}, "is exited", False),
        ({"status": "paused"}, "is paused", True),
        ({"health": "unhealthy"}, "is unhealthy", True),
        ({"health": "starting"}, "is starting", False),
        ({"checksum": ""}, "was created by hand", True),
        ({"image_id": "sha256:2"}, "image shop/django:1 instead of shop/django:1", True),
        ({"memory": 2**30}, "memory was changed by hand", True),
        ({"restart_policy": "no"}, "restart_policy was changed by hand", True),
        ({"networks": {}}, "networks differ", True),
    ],
)
def test_drift_by_hand_is_seen_and_mended(drift, reason, recreate):
    (step,) = differences(host(**drift))
    assert reason in step["reasons"]
    assert step["arguments"]["recreate"] is recreate


def test_a_file_with_another_mode_is_drift():
    observation = host()
    observation["files"]["/srv/shop/shop-web/secrets/key"]["mode"] = "0644"
    (step,) = differences(observation)
    assert step["reasons"] == ["secrets/key has another owner or mode"]


def test_a_state_file_of_a_role_is_no_drift():
    observation = host()
    observation["files"]["/srv/shop/shop-web/state/x.sha256"] = {"sha256": "1", "mode": "0600", "uid": 0, "gid": 0}
    assert differences(observation) == []


def test_a_changed_limit_is_no_change_by_hand():
    (step,) = differences(host(), {**SPEC, "memory": "128m"})
    assert step["reasons"] == ["specification changed"]


def test_nothing_to_do_is_no_step_and_all_there_is_to_do_is_one():
    assert changes.changes([SPEC], host(), POLICY, SETTINGS) == []
    observation = host()
    observation["containers"]["shop-old"] = {"stack": "shop", "role": "web"}
    (change,) = changes.changes([SPEC], observation, POLICY, SETTINGS)
    assert {kind: found for kind, found in change.items() if found} == {
        "remove": ["shop-old"],
        "rendered": {"open": [], "secret": []},
    }


def test_what_has_to_be_done_holds_what_is_rendered_for_it_and_nothing_else():
    other = {**SPEC, "name": "shop-other"}
    observation = host()
    (change,) = changes.changes([SPEC, other], observation, POLICY, SETTINGS)
    assert [entry["name"] for entry in change["run"]] == ["shop-other"]
    paths = [entry["path"] for entries in change["rendered"].values() for entry in entries]
    assert paths
    assert all(path.startswith("/srv/shop/shop-other/") for path in paths)


def test_what_runs_once_is_told_completely():
    (once,) = changes.one_run({**SPEC, "volumes": ["notes:/n"]}, host(), POLICY, {**SETTINGS, "slot": "blue"}, 60)
    assert (once["name"], once["arguments"]["name"], once["arguments"]["timeout"]) == ("shop-web", "shop-web", 60)
    assert once["volumes"] == [{"name": "notes"}]
    assert once["rendered"]["open"]


@pytest.mark.parametrize(
    ("api", "interval", "expected"),
    [
        ("1.43", "30s", ("10s", None)),
        ("1.43", "5m", ("5m", None)),
        ("1.44", "30s", ("30s", "1s")),
        ("1.100", "30s", ("30s", "1s")),
    ],
)
def test_a_starting_container_is_asked_often(api, interval, expected):
    spec = {**SPEC, "healthcheck": {"test": ["CMD", "true"], "start_period": "30s", "interval": interval}}
    observation = {**host(), "containers": {}, "engine": {"api_version": api}}
    (step,) = differences(observation, spec)
    check = step["arguments"]["healthcheck"]
    assert (check["interval"], check.get("start_interval")) == expected
    # Another Engine is no reason to replace a container.
    assert differences({**host(spec), "engine": {"api_version": api}}, spec) == []


INWARD = [{"name": "shop-app", "inward": True}, {"name": "shop-edge"}]


@pytest.mark.parametrize(
    ("api", "expected", "networks"),
    [
        ("1.41", {"mac_address": firewall.inward_address("shop-web")}, [{}, {}]),
        ("1.44", {}, [{"mac_address": firewall.inward_address("shop-web")}, {}]),
    ],
)
def test_who_has_no_way_out_is_known_by_a_hardware_address(api, expected, networks):
    spec = {**SPEC, "networks": INWARD}
    engine = {"api_version": api}
    (step,) = differences({**host(), "containers": {}, "engine": engine}, spec)
    found = step["arguments"]
    assert {key: found[key] for key in found if key == "mac_address"} == expected
    assert found["networks"] == [{"name": one["name"], **rest} for one, rest in zip(INWARD, networks, strict=True)]
    (once,) = changes.one_run(spec, {**host(), "engine": engine}, POLICY, SETTINGS, 60)
    assert once["arguments"]["networks"] == found["networks"]
    # Another Engine is no reason to replace a container; that it gets or loses its way out is.
    there = {**host(spec, networks={"shop-app": "10.0.0.3", "shop-edge": "10.0.0.2"}), "engine": engine}
    assert differences(there, spec) == []
    (change,) = differences(there, {**spec, "networks": [{"name": one["name"]} for one in INWARD]})
    assert change["arguments"]["recreate"]


def test_only_the_first_network_can_be_inward():
    with pytest.raises(specification.SpecificationError, match="shop-web: only the first of its networks"):
        differences({**host(), "containers": {}}, {**SPEC, "networks": INWARD[::-1]})


def test_hardware_addresses_without_a_way_out_are_told_from_others():
    addresses = {firewall.inward_address(name) for name in ("shop-nginx", "shop-nginx-stand-in", "shop-beat")}
    assert len(addresses) == 3
    assert all(firewall.is_inward(address) for address in addresses)
    # Those that Engines give.
    assert not any(firewall.is_inward(address) for address in ("02:42:ac:11:00:02", ""))


def test_directories_are_rendered_for_the_containers_that_are_run():
    other = {**SPEC, "name": "shop-other", "secrets": {}}
    found = rendering.rendered([SPEC, other], SETTINGS, 0, {}, ["shop-web"])
    assert {kind: [entry["path"] for entry in entries] for kind, entries in found.items()} == {
        "open": ["/srv/shop/shop-web/env", "/srv/shop/shop-web/config"],
        "secret": ["/srv/shop/shop-web/secrets"],
    }


def test_no_secret_is_in_the_plan():
    (step,) = differences({**host(), "containers": {}}, {**SPEC, "secrets": {"key": "canary-value"}})
    assert "canary-value" not in repr(step)


def test_a_developers_own_uid_replaces_the_images():
    rendered = rendering.directories(SPEC, "/srv", "Ansible managed", "1000:1000", 1000)
    assert {(item["uid"], item["gid"]) for item in rendered.values()} == {(1000, 1000)}
    assert docker_options.arguments(SPEC, POLICY, "/srv", "1000:1000")["user"] == "1000:1000"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"read_only": False}, "exceptions.read_only"),
        ({"capabilities": ["CHOWN"]}, "exceptions.capabilities"),
        ({"init": False}, "exceptions.init"),
        ({"user": "root"}, "numeric"),
        ({"user": "0:0"}, "never runs as root without a reason in exceptions.user"),
        ({"name": "cafe"}, "outside 0-9a-f"),
        ({"env": {"A": "1\n2"}}, "line break"),
        ({"env": {"A": "1\r2"}}, "line break"),
        ({"healthcheck": None}, "healthcheck"),
    ],
)
def test_a_specification_against_the_policy_is_refused(change, message):
    with pytest.raises(specification.SpecificationError, match=message):
        differences(host(), {**SPEC, **change})


def test_a_misspelled_key_is_refused_by_name():
    with pytest.raises(
        specification.SpecificationError, match=r"helthcheck.*Supported parameters include.*healthcheck"
    ):
        differences(host(), {**SPEC, "helthcheck": {}})


def test_an_exception_with_a_reason_is_accepted():
    spec = {**SPEC, "capabilities": ["CHOWN"], "exceptions": {"capabilities": "because"}}
    assert differences({**host(), "containers": {}}, spec)[0]["arguments"]["capabilities"] == ["CHOWN"]


def test_containers_of_a_role_that_are_no_longer_specified_are_surplus():
    observation = host()
    observation["containers"]["shop-old"] = {"stack": "shop", "role": "web"}
    observation["containers"]["shop-db"] = {"stack": "shop", "role": "postgres"}
    observation["containers"]["other"] = {"stack": "", "role": ""}
    assert comparison.surplus([SPEC], observation, SETTINGS) == ["shop-old"]


def test_a_one_off_container_runs_to_its_end_and_is_removed():
    arguments = changes.oneshot(SPEC, POLICY, SETTINGS)
    assert (arguments["detach"], arguments["cleanup"], arguments["restart_policy"]) == (False, True, "no")
    assert "healthcheck" not in arguments


def test_a_failure_shows_the_last_log_lines():
    waited = {"shop-web": "unhealthy", "shop-beat": "healthy"}
    last = {"status": "running", "exit_code": 0, "oom_killed": True, "health": "refused", "log": ["boom"]}
    text = shown.failure_text(waited, {"shop-web": last})
    for part in (
        "shop-web did not become healthy: unhealthy",
        "lack of memory",
        "last health check: refused",
        "  boom",
    ):
        assert part in text
    assert "shop-beat" not in text


def test_the_status_table_lists_the_stacks_containers_only():
    observation = host(restarts=2, published=[443, 80])
    observation["containers"]["foreign"] = {"stack": ""}
    header, row = shown.table(observation, "shop")
    assert header.split() == ["CONTAINER", "STATE", "IMAGE", "RESTARTS", "PORTS"]
    assert row.split() == ["shop-web", "healthy", "shop/django:1", "2", "443", "80"]


def test_the_status_table_says_why_nothing_runs():
    observation = {"engine": {"running": False, "error": "no socket"}, "containers": {}}
    assert shown.table(observation, "shop") == ["Docker Engine is not running (no socket)"]


def test_files_at_absolute_paths_are_mounted_one_by_one_with_their_access():
    spec = {
        **SPEC,
        "files": {"/etc/shop/a.conf": "a", "/etc/other/a.conf": {"content": "b", "mode": "0600", "owner": "7:8"}},
        "secrets": {"key": "value", "/etc/shop/secret.py": {"content": "KEY = 1", "mode": "0440"}},
    }
    mounted = rendering.directories(spec, "/srv/shop", "managed", "", 0)
    assert "config" not in mounted
    assert sorted(mounted["mounted"]["files"].values()) == ["a", "b"]
    assert {tuple(entry.values()) for entry in mounted["mounted"]["access"].values()} == {
        (10003, 10003, "0644"),
        (7, 8, "0600"),
    }
    (access,) = mounted["mounted_secrets"]["access"].values()
    assert access == {"uid": 10003, "gid": 10003, "mode": "0440"}
    volumes = docker_options.arguments(spec, POLICY, "/srv/shop", "")["volumes"]
    assert {text.split(":")[1] for text in volumes} == {
        "/etc/shop/a.conf",
        "/etc/other/a.conf",
        "/etc/shop/secret.py",
        "/run/secrets",
    }
    assert differences(host(spec), spec) == []


def test_a_changed_mode_of_a_mounted_file_is_seen():
    spec = {**SPEC, "files": {"/etc/shop/a.conf": {"content": "a", "mode": "0600"}}}
    observation = host(spec)
    for state in observation["files"].values():
        if state["mode"] == "0600":
            state["mode"] = "0666"
    assert "has another owner or mode" in differences(observation, spec)[0]["reasons"][0]


def test_a_mounted_file_may_say_content_mode_and_owner_only():
    spec = {**SPEC, "files": {"/etc/shop/a.conf": {"text": "a"}}}
    with pytest.raises(specification.SpecificationError, match=r"/etc/shop/a.conf.*without text"):
        rendering.directories(spec, "/srv/shop", "managed", "", 0)


def test_secret_variables_are_exported_from_a_file_by_a_shell_that_becomes_the_command():
    spec = {**SPEC, "command": ["serve", "now"], "env_secrets": {"URL": "it's $HOME"}}
    options = docker_options.arguments(spec, POLICY, "/srv/shop", "")
    assert options["command"][-2:] == ["serve", "now"]
    assert "it's" not in repr(options)
    text = rendering.directories(spec, "/srv/shop", "managed", "", 0)["secrets"]["files"][".environment"]
    assert text == "export URL='it'\"'\"'s $HOME'\n"


def test_secret_variables_need_a_command():
    with pytest.raises(specification.SpecificationError, match="env_secrets needs a command"):
        docker_options.arguments({**SPEC, "env_secrets": {"A": "b"}}, POLICY, "/srv/shop", "")


def test_files_that_no_specification_has_any_more_are_emptied():
    observed = host()["files"]
    spec = {key: value for key, value in SPEC.items() if key not in ("files", "secrets")}
    found = rendering.rendered([spec], SETTINGS, 0, observed)
    assert [entry["files"] for entry in found["secret"]] == [{}]
    assert {entry["path"].rpartition("/")[2]: bool(entry["files"]) for entry in found["open"]} == {
        "env": True,
        "config": False,
    }


VOLUMES = {**SPEC, "volumes": ["shop-data:/data", "/etc/x:/x"], "volume_access": {"shop-data": {"mode": "0750"}}}


@pytest.mark.parametrize(
    ("present", "expected"),
    [
        ({}, [{"name": "shop-data", "uid": 10003, "gid": 10003, "mode": "0750"}]),
        ({"shop-data": {"stack": "shop", "uid": 10003}}, []),
        # Created by a run that ended before it was given away.
        (
            {"shop-data": {"stack": "shop", "uid": 0}},
            [{"name": "shop-data", "uid": 10003, "gid": 10003, "mode": "0750"}],
        ),
    ],
)
def test_missing_volumes_are_created_for_their_user(present, expected):
    observation = {**host(VOLUMES), "volumes": present}
    assert changes.missing_volumes([VOLUMES], observation, SETTINGS) == expected


def test_an_unprivileged_developer_gets_what_docker_makes_of_the_image():
    observation = {**host(VOLUMES), "host": {"uid": 1000}}
    assert changes.missing_volumes([VOLUMES], observation, SETTINGS) == [{"name": "shop-data"}]
    volumes = docker_options.arguments(VOLUMES, POLICY, "/srv/shop", "1000:1000")["volumes"]
    assert volumes[0] == "shop-data:/data"


def test_a_volume_with_access_of_its_own_does_not_take_that_of_the_image():
    assert docker_options.arguments(VOLUMES, POLICY, "/srv/shop", "")["volumes"][0] == "shop-data:/data:nocopy"


@pytest.mark.parametrize("value", ["a ", "a\t", "  ", "a\x85", " a ", " a", "a b", ""])
def test_blanks_around_the_value_of_a_variable_reach_the_container(tmp_path, value):
    spec = {**SPEC, "env": {"A": value, "B": 2}}
    file = tmp_path / "container.env"
    file.write_text(rendering.environment_file("shop-web", spec["env"], "managed"))
    # As docker_container puts the two together.
    given = docker_options.arguments(spec, POLICY, "/srv/shop", "").get("env", {})
    assert {**parse_env_file(file), **given} == {"A": value, "B": "2"}
    assert "B" not in given


SLOTTED = {**SETTINGS, "slot": "green", "release": 7, "phase": ""}
IN_EDGE = {**SPEC, "networks": [{"name": "shop-edge", "slot_addresses": {"blue": "10.0.0.11", "green": "10.0.0.12"}}]}


def test_a_slot_gives_a_container_its_name_address_and_labels():
    (step,) = comparison.differences([IN_EDGE], {**host(), "containers": {}}, POLICY, SLOTTED)
    arguments = step["arguments"]
    assert step["name"] == arguments["name"] == "shop-web-green"
    assert arguments["networks"] == [{"name": "shop-edge", "ipv4_address": "10.0.0.12", "aliases": ["shop-web"]}]
    assert arguments["env_file"] == "/srv/shop/shop-web-green/env/container.env"
    assert arguments["labels"]["broadcast.stack.slot"] == "green"
    assert arguments["labels"]["broadcast.stack.release"] == "7"


def in_slot(**changes):
    observation = host(
        specification.in_slot(IN_EDGE, "green"), **{"slot": "green", "release": 7, "exclusive": False, **changes}
    )
    (state,) = observation["containers"].values()
    state["networks"] = {"shop-edge": "10.0.0.12"}
    return observation


def test_a_container_of_the_release_is_as_wished_and_one_of_another_release_is_replaced():
    assert comparison.differences([IN_EDGE], in_slot(), POLICY, SLOTTED) == []
    (step,) = comparison.differences([IN_EDGE], in_slot(release=4), POLICY, SLOTTED)
    assert step["reasons"] == ["belongs to release 4"]
    assert step["arguments"]["recreate"] is True


def test_what_runs_differently_from_its_specification_asks_for_a_release():
    changed = {**IN_EDGE, "env": {"A": "2", "C": "3"}}
    observation = in_slot()
    observation["environments"] = {"shop-web-green": "# Ansible managed\nA=1\nB=2\n"}
    found = comparison.comparison([changed], observation, POLICY, SLOTTED)
    assert found["release"] == ["shop-web-green: env/container.env changed: A, -B, +C"]
    assert comparison.comparison([changed], observation, POLICY, {**SLOTTED, "slot": "", "release": 0})["release"] == []


@pytest.mark.parametrize("drift", [{"status": "exited"}, {"health": "unhealthy"}, {"release": 3}])
def test_what_does_not_run_is_started_in_place(drift):
    found = comparison.comparison([IN_EDGE], in_slot(**drift), POLICY, SLOTTED)
    assert found["release"] == []
    assert [change["name"] for change in found["changes"]] == ["shop-web-green"]


def test_phases_part_what_must_not_run_twice():
    specs = [SPEC, {**SPEC, "name": "shop-beat", "exclusive": True}]
    empty = {**host(), "containers": {}}
    names = {
        phase: [step["name"] for step in comparison.differences(specs, empty, POLICY, {**SLOTTED, "phase": phase})]
        for phase in ("beside", "exclusive", "")
    }
    assert names == {
        "beside": ["shop-web-green"],
        "exclusive": ["shop-beat-green"],
        "": ["shop-web-green", "shop-beat-green"],
    }


@pytest.mark.parametrize("settings", [SLOTTED, {**SLOTTED, "slot": "", "release": 0}])
def test_what_must_not_run_twice_is_labelled_so_that_it_can_be_stopped_first(settings):
    specs = [SPEC, {**SPEC, "name": "shop-beat", "exclusive": True}]
    plans = comparison.differences(specs, {**host(), "containers": {}}, POLICY, settings)
    assert ["broadcast.stack.exclusive" in step["arguments"]["labels"] for step in plans] == [False, True]


def test_only_containers_of_the_slot_are_surplus():
    observation = in_slot()
    observation["containers"]["shop-old-green"] = {"stack": "shop", "role": "web", "slot": "green"}
    observation["containers"]["shop-web-blue"] = {"stack": "shop", "role": "web", "slot": "blue"}
    observation["containers"]["shop-web"] = {"stack": "shop", "role": "web", "slot": ""}
    assert comparison.surplus([IN_EDGE], observation, SLOTTED) == ["shop-old-green"]


RELOADING = {**SPEC, "reload": {"command": ["reload"], "paths": ["config/*"]}}


def reloading(note=True):
    observation = host(RELOADING, id="abc")
    if note:
        text = loading.loaded_note(loading.loadable(RELOADING), {"id": "abc"})
        path = loading.loaded_path("/srv/shop", "shop-web") + "/sha256"
        observation["files"][path] = {"sha256": hashlib.sha256(text.encode()).hexdigest()}
    return observation


def test_a_changed_file_that_can_be_reloaded_replaces_nothing():
    assert differences(reloading(), RELOADING) == []
    (step,) = differences(reloading(), {**RELOADING, "files": {"app.conf": "y\n"}})
    assert (step["cause"], step["command"], step["reasons"]) == ("reload", ["reload"], ["config/app.conf changed"])
    (change,) = changes.changes([{**RELOADING, "files": {"app.conf": "y\n"}}], reloading(), POLICY, SETTINGS)
    assert change["run"] == []


def test_files_that_were_rendered_and_not_loaded_are_loaded_by_the_next_run():
    (step,) = differences(reloading(note=False), RELOADING)
    assert step["reasons"] == ["has not loaded its files"]
    (change,) = changes.changes([RELOADING], reloading(note=False), POLICY, SETTINGS)
    (directory,) = loading.loaded(change["loadable"], reloading(), "/srv/shop")
    assert directory["path"] == "/srv/shop/shop-web/state/loaded"
    assert hashlib.sha256(directory["files"]["sha256"].encode()).hexdigest() in {
        state["sha256"] for state in reloading()["files"].values()
    }


def test_a_changed_secret_still_replaces_what_reloads_only_its_configuration():
    (step,) = differences(reloading(), {**RELOADING, "secrets": {"key": "other"}})
    assert step["cause"] == "specification"


@pytest.mark.parametrize(
    ("written", "found"),
    [("docker.io/shop/django:1", "shop/django:1"), ("shop/django:9@sha256:a", "shop/django@sha256:a")],
)
def test_an_image_is_the_same_in_every_spelling(written, found):
    spec = specification.normalise({**SPEC, "image": written})
    observation = host(spec)
    observation["images"] = {found: {"id": "sha256:1"}}
    assert comparison.differences([{**SPEC, "image": written}], observation, POLICY, SETTINGS) == []
    observation["containers"] = {}
    (change,) = comparison.differences([{**SPEC, "image": written}], observation, POLICY, SETTINGS)
    assert change["image"] == change["arguments"]["image"] == found


@pytest.mark.parametrize(
    ("tmpfs", "sized"),
    [
        (["/tmp"], ["/tmp:size=134217728"]),
        (["/tmp:mode=1777"], ["/tmp:mode=1777,size=134217728"]),
        (["/tmp", "/cache:uid=3"], ["/tmp:size=67108864", "/cache:uid=3,size=67108864"]),
        (
            ["/tmp", "/cache:mode=1777,size=8m", "/x:size=1m"],
            ["/tmp:size=134217728", "/cache:mode=1777,size=8m", "/x:size=1m"],
        ),
    ],
)
def test_memory_file_systems_without_a_size_share_half_of_the_memory(tmpfs, sized):
    spec = {**SPEC, "tmpfs": tmpfs, "memory": "256m"}
    assert docker_options.arguments(spec, POLICY, "/opt/shop", "")["tmpfs"] == sized


def test_a_container_of_somebody_else_is_not_replaced():
    with pytest.raises(specification.SpecificationError, match="is on the host and is not of this"):
        differences(host(stack=""))
    with pytest.raises(specification.SpecificationError, match="of the stack other"):
        differences(host(stack="other"))


@pytest.mark.parametrize(("stack", "whose"), [("", "was not made for this"), ("other", "belongs to the stack other")])
def test_a_volume_of_somebody_else_is_not_taken(stack, whose):
    spec = {**SPEC, "volumes": ["shop-media:/srv/media", "/srv/x:/x"]}
    observation = {**host(), "containers": {}, "volumes": {"shop-media": {"stack": stack, "uid": 0}}}
    with pytest.raises(specification.SpecificationError, match="volume shop-media is on the host and " + whose):
        differences(observation, spec)
    with pytest.raises(specification.SpecificationError, match="stack_adopted_volumes"):
        changes.one_run(spec, observation, POLICY, SETTINGS, 60)
    assert comparison.differences([spec], observation, POLICY, {**SETTINGS, "adopted_volumes": ["shop-media"]})
    # Of a version or a hand that gave it no label.
    observation["containers"]["shop-worker"] = {"stack": "shop", "role": "worker", "volumes": ["shop-media"]}
    assert differences(observation, spec)
    assert differences({**observation, "volumes": {"shop-media": {"stack": "shop", "uid": 0}}}, spec)


def test_every_container_has_its_own_log_limits_and_no_new_privileges():
    """Not the Engine: it has containers of others."""
    (policy,) = [yaml.safe_load((ROOT / "roles/container/vars/main.yml").read_text())["container_policy"]]
    (step,) = comparison.differences([SPEC], {**host(), "containers": {}}, policy, SETTINGS)
    assert step["arguments"]["security_opts"] == ["no-new-privileges:true"]
    assert (step["arguments"]["log_driver"], step["arguments"]["log_options"]) == (
        "json-file",
        {"max-size": "10m", "max-file": "3"},
    )
    once = changes.oneshot(SPEC, policy, SETTINGS)
    assert once["security_opts"] == ["no-new-privileges:true"]
    assert once["log_options"]["max-file"] == "3"
