"""What stands in for a container while it is replaced: who decides so, what it is like, and which packets it gets."""

from __future__ import annotations

import pytest
from ansible_collections.broadcast.stack.plugins.module_utils import stand_in
from ansible_collections.broadcast.stack.plugins.modules import container_stand_in
from ansible_collections.broadcast.stack.plugins.plugin_utils.containers import changes, comparison
from test_container import POLICY, SETTINGS, SPEC, host

EDGE = {**SPEC, "stand_in": {"leave": ["leave"]}}
BOTH = [{"name": "shop-web", "leave": ["leave"]}]
# As `iptables -t nat -S` prints them.
DOCKER = """-N DOCKER
-A DOCKER -i br-1 -j RETURN
-A DOCKER ! -i br-1 -p tcp -m tcp --dport 443 -j DNAT --to-destination 10.0.0.2:8443
-A DOCKER -d 127.0.0.1/32 ! -i br-1 -p tcp -m tcp --dport 32768 -j DNAT --to-destination 10.0.0.9:8443
-A DOCKER -d 127.0.0.1/32 ! -i br-1 -p udp -m udp --dport 32769 -j DNAT --to-destination 10.0.0.9:8443
"""
PORTS = {
    "8443/tcp": [{"HostIp": "0.0.0.0", "HostPort": "443"}, {"HostIp": "::", "HostPort": "443"}],
    "8443/udp": [{"HostIp": "192.0.2.1", "HostPort": "443"}],
    "9000/tcp": None,
}
OWN = {
    "8443/tcp": [{"HostIp": "127.0.0.1", "HostPort": "32768"}],
    "8443/udp": [{"HostIp": "127.0.0.1", "HostPort": "32769"}],
}


def changes_of(spec, observation):
    return changes.changes([spec], observation, POLICY, SETTINGS)


def with_stand_in(observation):
    copy = {**observation["containers"]["shop-web"], "checksum": "", "stand_in": "shop-web"}
    return {**observation, "containers": {**observation["containers"], "shop-web-stand-in": copy}}


def test_a_copy_stands_in_for_what_serves_and_is_replaced():
    (found,) = changes_of({**EDGE, "memory": "128m"}, host())
    assert (found["begin_stand_ins"], found["end_stand_ins"]) == (BOTH, BOTH)
    assert "stand_in" not in found["run"][0]["arguments"]


@pytest.mark.parametrize(
    ("spec", "observation"),
    [
        ({**SPEC, "memory": "128m"}, host()),
        ({**EDGE, "memory": "128m"}, host(health="unhealthy")),
        ({**EDGE, "memory": "128m"}, host(health="starting")),
        (EDGE, host(status="exited", health="")),
        (EDGE, {**host(), "containers": {}}),
    ],
)
def test_no_copy_stands_in_for_what_does_not_serve_or_does_not_ask_for_it(spec, observation):
    (found,) = changes_of(spec, observation)
    assert (found["begin_stand_ins"], found["end_stand_ins"]) == ([], [])


def test_asking_for_it_replaces_nothing():
    assert changes_of(EDGE, host()) == []


def test_a_copy_that_a_killed_run_left_is_removed_after_the_rest_and_told_by_the_plan():
    observation = with_stand_in(host())
    (found,) = changes_of(EDGE, observation)
    assert (found["run"], found["remove"]) == ([], [])
    assert (found["begin_stand_ins"], found["end_stand_ins"]) == ([], BOTH)
    (change,) = comparison.comparison([EDGE], observation, POLICY, SETTINGS)["changes"]
    assert (change["name"], change["action"]) == ("shop-web-stand-in", "remove")


def test_a_copy_of_what_does_not_start_serves_until_it_does():
    (found,) = changes_of(EDGE, with_stand_in(host(health="unhealthy")))
    assert [change["name"] for change in found["run"]] == ["shop-web"]
    assert (found["begin_stand_ins"], found["end_stand_ins"]) == ([], BOTH)


def test_a_copy_is_like_the_container_on_ports_that_nobody_knows():
    detail = {
        "Name": "/shop-nginx",
        "Image": "sha256:1",
        "Config": {
            "Cmd": ["nginx"],
            "Labels": {"broadcast.stack.name": "shop", "broadcast.stack.role": "nginx_tls", "broadcast.stack.x": "y"},
            "Healthcheck": {"Test": ["CMD", "check"]},
            "StopSignal": "SIGQUIT",
            "StopTimeout": 40,
        },
        "HostConfig": {
            "Binds": ["/x:/y"],
            "PortBindings": {"8443/tcp": [{"HostIp": "", "HostPort": "443"}]},
            "RestartPolicy": {"Name": "unless-stopped"},
        },
        "NetworkSettings": {"Networks": {"shop-edge": {"IPAddress": "10.0.0.2"}}, "Ports": PORTS},
    }
    content, networks = container_stand_in.wanted(detail)
    assert networks == []
    assert content["Labels"] == {
        "broadcast.stack.name": "shop",
        "broadcast.stack.role": "nginx_tls",
        "broadcast.stack.stand_in": "shop-nginx",
    }
    assert (content["StopSignal"], content["StopTimeout"]) == ("SIGQUIT", 40)
    assert content["Healthcheck"] == {"Test": ["CMD", "check"]}
    assert content["HostConfig"]["PortBindings"] == {
        "8443/tcp": [{"HostIp": "127.0.0.1", "HostPort": ""}],
        "8443/udp": [{"HostIp": "127.0.0.1", "HostPort": ""}],
    }
    assert content["HostConfig"]["RestartPolicy"] == {"Name": "unless-stopped"}


def test_new_connections_go_where_docker_sends_those_of_the_copy():
    ports, own, docker = stand_in.published(PORTS), stand_in.published(OWN, loopback=True), stand_in.targets(DOCKER)
    text = stand_in.rules("shop-nginx", ports, own, docker, ["PREROUTING", "POSTROUTING"])
    chain, answers = stand_in.chain("shop-nginx"), stand_in.answers_chain("shop-nginx")
    assert max(len(chain), len(answers)) <= 28
    assert text.splitlines() == [
        "*nat",
        f":{chain} - [0:0]",
        f":{answers} - [0:0]",
        f"-A {chain} -p tcp -m tcp --dport 443 -j DNAT --to-destination 10.0.0.9:8443",
        f"-A {chain} -d 192.0.2.1 -p udp -m udp --dport 443 -j DNAT --to-destination 10.0.0.9:8443",
        f"-A {answers} -s 10.0.0.9 -p tcp -m tcp --sport 8443 -j MASQUERADE --to-ports 443",
        f"-A {answers} -s 10.0.0.9 -p udp -m udp --sport 8443 -j SNAT --to-source 192.0.2.1:443",
        f"-I PREROUTING 1 -m addrtype --dst-type LOCAL -j {chain}",
        f"-I POSTROUTING 1 -j {answers}",
        "COMMIT",
    ]
    assert stand_in.targets(text) == {("tcp", 443): "10.0.0.9:8443", ("udp", 443): "10.0.0.9:8443"}


def test_connections_that_the_copy_makes_the_kernel_forget_go_on_at_the_container():
    ports, docker = stand_in.published({"8443/tcp": PORTS["8443/tcp"]}), stand_in.targets(DOCKER)
    answers = stand_in.answers_chain("shop-nginx")
    assert stand_in.rules_of_the_end("shop-nginx", ports, docker).splitlines() == [
        "*nat",
        f"-A {answers} -s 10.0.0.2 -p tcp -m tcp --sport 8443 -j MASQUERADE --to-ports 443",
        "COMMIT",
    ]


def test_what_only_its_own_host_can_ask_is_not_led_anywhere():
    assert stand_in.published(OWN) == []


@pytest.mark.parametrize(
    ("check", "command"),
    [
        ({"Test": ["CMD", "check", "it"]}, ["check", "it"]),
        ({"Test": ["CMD-SHELL", "check it"]}, ["/bin/sh", "-c", "check it"]),
        ({"Test": ["NONE"]}, []),
        (None, []),
    ],
)
def test_a_copy_is_asked_for_its_health_by_its_own_check(check, command):
    assert container_stand_in.health_command({"Config": {"Healthcheck": check}}) == command


def test_a_port_that_docker_does_not_translate_is_told():
    with pytest.raises(KeyError, match="32768"):
        stand_in.rules("shop-nginx", stand_in.published(PORTS), stand_in.published(OWN, loopback=True), {}, [])
