"""Docker Engine as an operator finds it after the role, and what the role does to running containers."""

from __future__ import annotations

import json

import pytest


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


def test_containers_of_others_get_no_policy(host, probe):
    identifier = host.check_output(f"docker create --name legacy-logged {probe} /usr/bin/sleep 1")
    config = json.loads(host.check_output(f"docker inspect {identifier}"))[0]["HostConfig"]["LogConfig"]
    host.check_output(f"docker rm {identifier}")
    assert config == {"Type": "json-file", "Config": {}}
    # As the Engine itself has it, from the machine that this host runs on.
    own = host.check_output("grep NoNewPrivs /proc/1/status")
    assert own in host.check_output(f"docker run --rm {probe} /usr/bin/cat /proc/self/status")
    assert set(written(host)) == {"live-restore", "userland-proxy"}


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


DAEMON = "/etc/docker/daemon.json"
NOTE = "/etc/broadcast.stack/shop.daemon.json"
# The whole file of the first versions.
FIRST_VERSIONS = {
    "live-restore": True,
    "log-driver": "json-file",
    "log-opts": {"max-file": "3", "max-size": "10m"},
    "no-new-privileges": True,
    "userland-proxy": False,
}


def written(host) -> dict:
    return json.loads(host.file(DAEMON).content_string)


def test_the_file_of_the_first_versions_becomes_todays(host, converge, running):
    today, before = written(host), running()
    host.run_expect([0], f"printf '%s\\n' '{json.dumps(FIRST_VERSIONS, indent=2)}' > {DAEMON} && rm {NOTE}")
    assert converge("--check").returncode == 0
    assert written(host) == FIRST_VERSIONS
    assert converge().returncode == 0
    assert written(host) == today
    assert running() == before
    assert "changed=0" in converge().stdout


@pytest.fixture
def legacy(host, probe):
    """Somebody else's Engine on this host: its own options, a flag, and a container with a volume."""
    options = {
        "data-root": "/var/lib/docker/moved",
        "dns": ["192.0.2.53"],
        "insecure-registries": ["registry.lan:5000"],
        "log-driver": "local",
    }
    restart = (
        "kill $(cat /run/docker.pid); while [ -e /run/docker.pid ]; do sleep 0.2; done; "
        "(setsid dockerd {} > /var/log/docker.log 2>&1 &); until docker info > /dev/null 2>&1; do sleep 0.2; done"
    )
    host.check_output(f"cp {DAEMON} /root/daemon.json && cp {NOTE} /root/note.json && rm {NOTE}")
    host.check_output("docker save probe:1 > /root/probe.tar")
    text = json.dumps(options)
    host.check_output("rm -f /srv/daemon.json*")
    host.run_expect([0], f"printf %s '{text}' > /srv/daemon.json && ln -sf /srv/daemon.json {DAEMON}")
    host.check_output(restart.format("--label owner=somebody"))
    host.check_output("docker load < /root/probe.tar && rm /root/probe.tar")
    host.check_output("docker run --detach --name legacy --volume legacy:/data probe:1 /usr/bin/sleep 3600")
    yield options
    host.check_output("docker rm --force legacy; docker volume rm legacy")
    host.check_output(f"rm {DAEMON} && mv /root/daemon.json {DAEMON} && mv /root/note.json {NOTE}")
    host.check_output(restart.format(""))


def test_what_others_configured_stays(host, converge, legacy):
    started = "docker inspect --format '{{.State.StartedAt}} {{.State.Running}}' legacy"
    before, process = host.check_output(started), host.check_output("cat /run/docker.pid")
    plan = converge("--check", docker_host_networks=[])
    assert plan.returncode == 0, plan.stdout
    result = converge(docker_host_networks=[])
    assert result.returncode == 0, result.stdout
    assert written(host) == {**legacy, "live-restore": True}
    assert host.file(DAEMON).is_symlink
    (copy,) = host.check_output("ls /srv/daemon.json.*").split()
    assert json.loads(host.file(copy).content_string) == legacy
    assert host.check_output(started) == before
    # live-restore needs no restart, nobody's container was at risk.
    assert host.check_output("cat /run/docker.pid") == process
    assert info(host)["LiveRestoreEnabled"] is True
    assert "changed=0" in converge(docker_host_networks=[]).stdout
    # One that needs a restart is merged, and the Engine keeps its flag.
    assert converge(docker_host_networks=[], docker_host_daemon_options={"dns": ["192.0.2.54"]}).returncode == 0
    assert written(host)["dns"] == ["192.0.2.53", "192.0.2.54"]
    assert host.check_output("cat /run/docker.pid") != process
    assert info(host)["Labels"] == ["owner=somebody"]
    assert info(host)["DockerRootDir"] == "/var/lib/docker/moved"
    assert host.check_output(started) == before


def test_what_others_need_is_not_taken_from_them(host, converge, legacy):
    for options, reason in (
        ({"data-root": "/srv/docker"}, "would hide the containers, images and volumes"),
        ({"labels": ["owner=shop"]}, "labels: is owner=somebody by a flag"),
        ({"hosts": ["unix:///run/other.sock"]}, "list that as well"),
    ):
        result = converge(docker_host_networks=[], docker_host_daemon_options=options)
        assert result.returncode != 0
        assert reason in " ".join(result.stdout.split())
        assert written(host) == legacy


def test_an_engine_that_does_not_start_with_an_option_goes_back(host, converge, running):
    before, options, note = running(), written(host), host.file(NOTE).content_string
    result = converge(docker_host_daemon_options={"exec-opts": ["native.cgroupdriver=absent"]})
    assert result.returncode != 0
    assert "started with the old ones again" in " ".join(result.stdout.split()), result.stdout
    assert (written(host), host.file(NOTE).content_string) == (options, note)
    assert running() == before


def test_a_file_that_is_no_json_is_refused_with_its_line(host, converge):
    host.check_output(f"cp {DAEMON} /root/daemon.json && sed -i '2s/://' {DAEMON}")
    result = converge()
    host.check_output(f"mv /root/daemon.json {DAEMON}")
    assert result.returncode != 0
    assert f"{DAEMON}:2: no valid JSON" in " ".join(result.stdout.split())


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
    assert converge(docker_host_firewall={}).returncode == 0
    assert not live(host)
    assert not host.file("/etc/broadcast.stack/shop.nft").exists
    assert converge().returncode == 0
