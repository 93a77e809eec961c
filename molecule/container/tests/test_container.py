"""What the runner of containers does on a real Engine."""

from __future__ import annotations

import json

import pytest

NAME = "broadcast-probe"
SECRET = "canary-probe-key-64f1"
FOLDER = f"/opt/broadcast/containers/{NAME}"


@pytest.fixture
def inspect(host):
    return lambda: json.loads(host.check_output(f"docker inspect {NAME}"))[0]


def test_the_container_runs_healthy_with_its_env_file_configuration_and_secret(host, inspect):
    container = inspect()
    assert container["State"]["Health"]["Status"] == "healthy"
    assert "GREETING=hello" in container["Config"]["Env"]
    assert "PADDED= blanks around  " in container["Config"]["Env"]
    assert host.check_output(f"docker exec {NAME} cat /run/config/probe.conf") == "first"
    assert host.check_output(f"docker exec {NAME} cat /run/secrets/key") == SECRET


def test_the_hardening_is_in_force(host, inspect):
    config = inspect()["HostConfig"]
    assert (config["ReadonlyRootfs"], config["CapDrop"], config["CapAdd"]) == (True, ["ALL"], [])
    assert config["Memory"] == config["MemorySwap"] == 32 * 2**20
    status = host.check_output(f"docker exec {NAME} cat /proc/self/status")
    assert "CapEff:\t0000000000000000" in status
    assert "NoNewPrivs:\t1" in status
    assert host.run(f"docker exec {NAME} touch /etc/x").rc != 0


def test_rendered_files_have_tight_modes(host):
    assert host.file(f"{FOLDER}/env/container.env").mode == 0o640
    assert host.file(f"{FOLDER}/env/container.env").content_string.startswith("# Ansible managed\n")
    secret = host.file(f"{FOLDER}/secrets/key")
    assert (secret.mode, secret.uid) == (0o400, 10002)
    assert host.file(f"{FOLDER}/secrets").mode == 0o500


def test_the_secret_is_nowhere_else(host, inspect):
    assert SECRET not in json.dumps(inspect())
    assert SECRET not in host.check_output("cat /proc/[0-9]*/cmdline | tr '\\0' ' '")


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"molecule_probe_file": "second"}, "config/probe.conf changed"),
        ({"molecule_probe_secret": "canary-probe-key-rotated"}, "secrets/key changed"),
        ({"molecule_probe_greeting": "salve"}, "env/container.env changed"),
    ],
)
def test_a_change_recreates_the_container_and_says_why(inspect, converge, changes, reason):
    before = inspect()["Id"]
    done = converge(**changes)
    assert done.returncode == 0, done.stdout
    assert reason in done.stdout, done.stdout
    assert "canary-probe-key-rotated" not in done.stdout
    assert inspect()["Id"] != before


def test_check_mode_says_what_would_change_and_changes_nothing(inspect, converge):
    before = inspect()["Id"]
    done = converge("--check", "--diff", molecule_probe_file="third")
    assert done.returncode == 0, done.stdout
    assert "+third" in done.stdout
    assert "changed=0" not in done.stdout
    assert inspect()["Id"] == before


def test_the_way_back_and_a_second_run_that_changes_nothing(converge):
    assert converge().returncode == 0
    assert "changed=0" in converge().stdout


def test_a_container_is_reached_at_once_at_an_address_that_another_had_before(host, inspect, converge):
    (network,) = inspect()["NetworkSettings"]["Networks"].values()
    # A network without any container is down, and nothing is remembered of it.
    host.check_output(f"docker run --detach --name neighbor {inspect()['Image']} sleep 600")
    # As the kernel remembers one that was replaced. It would send packets there for a minute.
    interface = json.loads(host.check_output(f"ip -json route get {network['IPAddress']}"))[0]["dev"]
    host.check_output(
        f"ip neighbor replace {network['IPAddress']} lladdr 02:00:00:00:00:99 dev {interface} nud reachable"
    )
    # Nobody listens, and says so.
    asked = f"timeout 3 bash -c '</dev/tcp/{network['IPAddress']}/9'"
    assert host.run(asked).rc == 124
    assert converge(molecule_probe_greeting="ave").returncode == 0
    assert [one["IPAddress"] for one in inspect()["NetworkSettings"]["Networks"].values()] == [network["IPAddress"]]
    assert host.run(asked).rc == 1
    host.check_output("docker rm --force neighbor")
    assert converge().returncode == 0


def test_a_container_goes_on_while_the_engine_does_not_read_what_it_says(host, inspect):
    process = inspect()["State"]["Pid"]
    host.check_output("pkill -STOP -x dockerd")
    try:
        # Of an edge some thousand requests.
        said = host.run(f"yes $(printf %0999d) | timeout 10 head -c 900000 > /proc/{process}/fd/1")
    finally:
        host.check_output("pkill -CONT -x dockerd")
    assert said.rc == 0


@pytest.mark.parametrize(
    ("command", "reason"),
    [
        (f"docker stop -t 1 {NAME}", "is exited"),
        (f"echo by hand > {FOLDER}/config/probe.conf", "config/probe.conf changed"),
        (f"touch {FOLDER}/secrets/other", "secrets/other is not ours"),
        (f"docker update --memory 64m --memory-swap 64m {NAME}", "memory was changed by hand"),
    ],
)
def test_what_was_changed_by_hand_is_seen_and_mended(host, inspect, converge, command, reason):
    host.check_output(command)
    done = converge()
    assert done.returncode == 0, done.stdout
    assert reason in done.stdout, done.stdout
    assert inspect()["State"]["Health"]["Status"] == "healthy"
    assert inspect()["HostConfig"]["Memory"] == 32 * 2**20


def test_a_container_of_somebody_else_under_the_name_is_left_alone(host, inspect, converge):
    command = f"docker rm -f {NAME}; docker run -d --name {NAME} $(docker images -q | head -1) sleep 600"
    foreign = host.check_output(command).splitlines()[-1]
    done = converge()
    assert done.returncode != 0
    assert NAME in done.stdout
    assert inspect()["Id"] == foreign, done.stdout
    # Its owner takes it away, and the same command finishes.
    host.check_output(f"docker rm -f {NAME}")
    done = converge()
    assert done.returncode == 0, done.stdout
    assert inspect()["State"]["Health"]["Status"] == "healthy"


def test_a_container_that_does_not_become_healthy_fails_with_its_last_log_lines(converge):
    done = converge(molecule_probe_command="echo the last words; exit 3")
    assert done.returncode != 0
    assert "exit code 3" in done.stdout
    assert "the last words" in done.stdout


def test_a_container_that_is_no_longer_specified_is_removed_with_its_secrets(host, converge):
    done = converge(container_specs=[])
    assert done.returncode == 0, done.stdout
    assert NAME not in host.check_output("docker ps -a --format '{{.Names}}'").split()
    assert not host.file(FOLDER).exists
    assert converge().returncode == 0


SPEC = {
    "name": NAME,
    "image": "broadcast/absent:1",
    "user": "10002:10002",
    "memory": "32m",
    "healthcheck": {"test": ["CMD", "true"]},
}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"helthcheck": {}}, "helthcheck"),
        ({"user": "root"}, "user must be numeric"),
        ({}, "broadcast/absent:1 is not on this host"),
    ],
)
def test_a_bad_specification_is_refused_and_what_runs_keeps_running(inspect, converge, change, message):
    before = inspect()["Id"]
    done = converge(container_specs=[{**SPEC, **change}])
    assert done.returncode != 0
    assert message in done.stdout, done.stdout
    assert inspect()["Id"] == before
