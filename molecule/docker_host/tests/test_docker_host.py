"""Docker Engine as an operator finds it after the role, and what the role does to running containers."""

from __future__ import annotations

import json

import pytest

# An image from the host's own files: nothing is delivered to this host.
PROBE = """
set -eu
programs='/usr/bin/bash /usr/bin/cat /usr/bin/sleep'
libraries=$(ldd $programs | grep -o '/[^ ]*\\.so[^ ]*' | sort -u)
tar --create --dereference --absolute-names $programs $libraries | docker import - probe:1
"""


@pytest.fixture(scope="module")
def probe(host) -> str:
    if not host.run("docker image inspect probe:1").succeeded:
        host.check_output(f"bash -c '{PROBE.replace(chr(39), chr(34))}'")
    return "probe:1"


@pytest.fixture
def running(host, probe):
    """A running container; gives a function that tells when it was started and whether it runs."""
    host.check_output(f"docker run --detach --name shop-sleeper {probe} /usr/bin/sleep 3600")
    yield lambda: host.check_output("docker inspect --format '{{.State.StartedAt}} {{.State.Running}}' shop-sleeper")
    host.check_output("docker rm --force shop-sleeper")


def info(host) -> dict:
    return json.loads(host.check_output("docker info --format '{{json .}}'"))


def test_the_engine_answers_and_keeps_containers_through_its_own_restart(host):
    assert info(host)["LiveRestoreEnabled"] is True


def test_container_logs_are_rotated(host, probe):
    identifier = host.check_output(f"docker create --name shop-logged {probe} /usr/bin/sleep 1")
    config = json.loads(host.check_output(f"docker inspect {identifier}"))[0]["HostConfig"]["LogConfig"]
    host.check_output(f"docker rm {identifier}")
    assert config == {"Type": "json-file", "Config": {"max-size": "10m", "max-file": "3"}}


def test_no_container_gains_privileges(host, probe):
    assert "NoNewPrivs:\t1" in host.check_output(f"docker run --rm {probe} /usr/bin/cat /proc/self/status")


def test_ports_are_published_without_a_proxy_process(host, probe):
    host.check_output(
        f"docker run --detach --name shop-published --publish 127.0.0.1:9999:9999 {probe} /usr/bin/sleep 60"
    )
    processes = host.check_output("ps -eo args")
    host.check_output("docker rm --force shop-published")
    assert "docker-proxy" not in processes


@pytest.mark.parametrize(
    ("name", "subnet", "internal"),
    [
        ("shop-edge", "10.213.77.0/26", False),
        ("shop-app", "10.213.77.64/26", False),
        ("shop-data", "10.213.77.128/26", True),
    ],
)
def test_networks_of_the_stack(host, name, subnet, internal):
    network = json.loads(host.check_output(f"docker network inspect {name}"))[0]
    assert (network["IPAM"]["Config"][0]["Subnet"], network["Internal"]) == (subnet, internal)


def test_docker_gives_out_no_address_that_is_kept_for_fixed_ones(host, probe):
    command = f"docker run --rm --network shop-edge {probe} /usr/bin/cat /etc/hosts"
    last = host.check_output(command).splitlines()[-1].split()[0]
    assert int(last.rpartition(".")[2]) >= 32


def test_a_changed_option_is_applied_and_leaves_containers_running(host, converge, running):
    before = running()
    assert converge(docker_host_daemon_options={"labels": ["tier=test"]}).returncode == 0
    assert info(host)["Labels"] == ["tier=test"]
    assert running() == before
    assert converge().returncode == 0
    assert not info(host)["Labels"]
    assert running() == before


def test_a_killed_engine_comes_back_and_finds_its_containers(host, converge, running):
    before = running()
    host.check_output("kill -9 $(cat /run/docker.pid)")
    result = converge()
    assert result.returncode == 0, result.stdout
    assert running() == before


def test_a_subnet_that_is_taken_is_refused(converge):
    result = converge(docker_host_networks=[{"name": "shop-new", "subnet": "10.213.77.0/25"}])
    assert result.returncode != 0
    assert "subnet 10.213.77.0/25 of shop-new overlaps 10.213.77.0/26 of the network shop-edge" in " ".join(
        result.stdout.split()
    )


def test_a_misspelled_key_is_refused(converge):
    result = converge(docker_host_networks=[{"name": "shop-new", "subnett": "10.213.78.0/24"}])
    assert result.returncode != 0
    assert "subnett" in result.stdout


FIREWALL = {
    "address": "192.0.2.7",
    "ports": [{"port": 5432, "sources": ["192.0.2.8"]}],
    "peers": ["192.0.2.8"],
    "peer_ports": [5432],
}


def live(host) -> str:
    return host.run("nft list table inet broadcast_shop").stdout


def test_the_packet_filter_is_applied_restored_and_removed(host, converge):
    assert not live(host)
    assert converge(docker_host_firewall=FIREWALL).returncode == 0
    wished = live(host)
    assert "ct original proto-dst 5432" in wished
    again = converge(docker_host_firewall=FIREWALL)
    assert "changed=0" in again.stdout
    # By hand, or by a service that flushes what it does not know.
    for command in ("delete table inet broadcast_shop", "add rule inet broadcast_shop forward accept"):
        host.check_output(f"nft {command}")
        assert live(host) != wished
        assert "changed=0" not in converge("--check", docker_host_firewall=FIREWALL).stdout
        assert converge(docker_host_firewall=FIREWALL).returncode == 0
        assert live(host) == wished
    # What a host does when it starts.
    host.check_output("nft delete table inet broadcast_shop && nft --file /etc/broadcast.stack/shop.nft")
    assert live(host) == wished
    assert "changed=0" in converge(docker_host_firewall=FIREWALL).stdout
    assert converge().returncode == 0
    assert not live(host)
    assert not host.file("/etc/broadcast.stack/shop.nft").exists
