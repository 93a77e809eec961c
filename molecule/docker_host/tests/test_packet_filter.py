"""The packet filter of a single host: what its network, its containers and a metadata service see of each other."""

from __future__ import annotations

import pytest

# A machine in the host's network, with the address of a metadata service as well; what listens on it, on the host and
# in the containers answers with a page. Names of interfaces and namespaces are this test's own.
NETWORK = """
set -e
iptables -P FORWARD ACCEPT
ip netns add lan
ip link add lan-host type veth peer name lan-peer netns lan
ip addr add 192.0.2.1/24 dev lan-host && ip link set lan-host up
ip -n lan addr add 192.0.2.2/24 dev lan-peer
ip -n lan addr add 169.254.169.254/32 dev lan-peer
ip -n lan link set lan-peer up && ip -n lan link set lo up
ip -n lan route add 10.213.77.0/24 via 192.0.2.1
ip route add 169.254.169.254 via 192.0.2.2
mkdir -p /tmp/empty && cd /tmp/empty
"""
# The stack's networks have no IPv6 addresses, but an Engine's default may give them some.
NETWORK_6 = """
set -e
sysctl -qw net.ipv6.conf.all.forwarding=1 net.ipv6.conf.lan-host.disable_ipv6=0
ip netns exec lan sysctl -qw net.ipv6.conf.lan-peer.disable_ipv6=0
ip -6 addr add fd00:99::1/64 dev lan-host nodad
ip -n lan -6 addr add fd00:99::2/64 dev lan-peer nodad
ip -n lan -6 route add fd00:77::/32 via fd00:99::1
"""
NETWORK_6_OF_A_CONTAINER = """
set -e
sysctl -qw net.ipv6.conf.{bridge}.disable_ipv6=0
ip -6 addr replace {prefix}::1/64 dev {bridge} nodad
nsenter --target {pid} --net sysctl -qw net.ipv6.conf.eth0.disable_ipv6=0
nsenter --target {pid} --net ip -6 addr add {prefix}::{pid}/64 dev eth0 nodad
nsenter --target {pid} --net ip -6 route add default via {prefix}::1
"""
# Requests until a file is there, each second one over a connection of its own; it prints their number and how many
# failed.
LOAD = """
import http.client, os, sys
address, port, stop = sys.argv[1], int(sys.argv[2]), sys.argv[3]
done, failed, kept = 0, 0, http.client.HTTPConnection(address, port, timeout=5)
while not os.path.exists(stop):
    for connection in (kept, http.client.HTTPConnection(address, port, timeout=5)):
        try:
            connection.request("GET", "/")
            failed += len(connection.getresponse().read()) == 0
        except OSError:
            failed += 1
        done += 1
    connection.close()
print(done, failed)
"""
# The hardware address of one who is in a network without its way out, see the key inward of a specification.
INWARD = "0a:b5:7a:00:00:01"
SERVE = "(setsid {}python3 -m http.server --protocol HTTP/1.1 --bind {} {} > /dev/null 2>&1 &)"
LISTENERS = "\n".join(
    [
        SERVE.format("", "::", 2222),
        SERVE.format("ip netns exec lan ", "192.0.2.2", 80),
        SERVE.format("ip netns exec lan ", "169.254.169.254", 80),
        SERVE.format("ip netns exec lan ", "169.254.169.254", 53),
    ]
)


@pytest.fixture(scope="module")
def inside(host, probe):
    """Process ids of containers as the stack has them, each serves port 8000.

    The edge, web, beat; the gateway of a fleet; an edge that has asked for a way out.
    """
    networks = {
        "nginx": ["edge"],
        "web": ["edge", "data", "app"],
        "beat": ["data"],
        "gateway": ["app"],
        "proxy": ["app", "edge"],
    }
    options = {"nginx": "--publish 8443:8000", "gateway": f"--publish 8100:8000 --mac-address {INWARD}"}
    pids = {}
    host.run_expect([0], "bash -c '%s'" % (NETWORK + LISTENERS))
    for name, (first, *others) in networks.items():
        host.check_output(
            f"docker create --name shop-{name} --network shop-{first} {options.get(name, '')} {probe} "
            "/usr/bin/sleep 3600"
        )
        for other in others:
            host.check_output(f"docker network connect shop-{other} shop-{name}")
        host.check_output(f"docker start shop-{name}")
        pids[name] = host.check_output("docker inspect --format '{{.State.Pid}}' shop-%s" % name)
        serve = SERVE.format(f"nsenter --target {pids[name]} --net ", "0.0.0.0", 8000)
        host.run_expect([0], f"cd /tmp/empty && {serve}")
    host.check_output("sleep 2")
    yield pids
    host.check_output("docker rm --force " + " ".join(f"shop-{name}" for name in networks))
    host.check_output("pkill -f 'http.serve[r]' ; ip netns del lan; iptables -P FORWARD DROP")


@pytest.fixture
def reaches(host, inside):
    """Whether one who asks gets an answer: a container by its name, or lan."""

    def ask(who: str, address: str, port: int) -> bool:
        enter = "ip netns exec lan" if who == "lan" else f"nsenter --target {inside[who]} --net"
        where = f"[{address}]" if ":" in address else address
        return host.run(f"{enter} curl -sg -o /dev/null --max-time 3 http://{where}:{port}/").rc == 0

    return ask


def address(host, name: str, network: str = "edge") -> str:
    text = '{{(index .NetworkSettings.Networks "shop-%s").IPAddress}}' % network
    return host.check_output(f"docker inspect --format '{text}' shop-{name}")


@pytest.fixture(scope="module")
def six(host, inside):
    """IPv6 in the networks app and edge, and to a machine outside."""
    host.run_expect([0], f"bash -c '{NETWORK_6}'")
    serve = SERVE.format("ip netns exec lan ", "fd00:99::2", 80)
    host.run_expect([0], f"cd /tmp/empty && {serve}")
    for name, network in (("web", "app"), ("gateway", "app"), ("nginx", "edge")):
        bridge = "br-" + host.check_output("docker network inspect --format '{{.Id}}' shop-%s" % network)[:12]
        text = NETWORK_6_OF_A_CONTAINER.format(
            bridge=bridge, pid=inside[name], prefix="fd00:77:1" if network == "app" else "fd00:77:2"
        )
        host.run_expect([0], f"bash -c '{text}'")
    host.check_output("sleep 2")


@pytest.fixture
def no_filter(host):
    """Without the stack's table all that is refused below answers: the tests could see it."""
    host.check_output("nft delete table inet broadcast_shop")
    yield
    host.check_output("nft --file /etc/broadcast.stack/shop.nft")


def test_without_the_filter_everything_is_reached(host, reaches, no_filter):
    assert reaches("lan", address(host, "web"), 8000)
    assert reaches("web", "192.0.2.1", 2222)
    assert reaches("web", "10.213.77.65", 2222)
    assert reaches("beat", "10.213.77.129", 2222)
    assert reaches("web", "169.254.169.254", 80)
    assert reaches("nginx", "169.254.169.254", 80)
    assert reaches("nginx", "192.0.2.2", 80)
    assert reaches("gateway", "192.0.2.2", 80)


def test_without_the_filter_everything_is_reached_by_ipv6(reaches, six, no_filter):
    for who in ("web", "gateway", "nginx"):
        assert reaches(who, "fd00:99::2", 80), who
    assert reaches("web", "fd00:77:1::1", 2222)


@pytest.mark.parametrize("network", ["edge", "app", "data"])
def test_web_is_not_reached_past_the_edge(host, reaches, network):
    assert not reaches("lan", address(host, "web", network), 8000)
    assert reaches("nginx", address(host, "web"), 8000)
    assert reaches("lan", "192.0.2.1", 8443)


@pytest.mark.parametrize(
    ("who", "where"),
    [
        ("web", "192.0.2.1"),
        ("web", "10.213.77.1"),
        ("web", "10.213.77.65"),
        ("nginx", "10.213.77.1"),
        ("nginx", "192.0.2.1"),
        ("beat", "10.213.77.129"),
    ],
)
def test_containers_do_not_reach_the_host(reaches, who, where):
    assert not reaches(who, where, 2222)


@pytest.mark.parametrize("who", ["nginx", "web", "beat"])
def test_containers_do_not_reach_a_metadata_service(reaches, who):
    assert not reaches(who, "169.254.169.254", 80)


def test_a_name_server_at_such_an_address_answers(reaches):
    assert reaches("web", "169.254.169.254", 53)


def test_web_and_workers_have_a_way_out_and_nginx_and_beat_have_none(reaches):
    assert reaches("web", "192.0.2.2", 80)
    assert not reaches("nginx", "192.0.2.2", 80)
    assert not reaches("beat", "192.0.2.2", 80)


def test_who_is_in_the_network_of_web_without_its_way_out(host, reaches):
    assert not reaches("gateway", "192.0.2.2", 80)
    assert not reaches("gateway", "169.254.169.254", 80)
    assert not reaches("gateway", "192.0.2.1", 2222)
    # It serves, inside the network and what it publishes.
    assert reaches("web", address(host, "gateway", "app"), 8000)
    assert reaches("gateway", address(host, "web", "app"), 8000)
    assert reaches("lan", "192.0.2.1", 8100)


def test_an_edge_that_asks_for_a_way_out_has_that_of_web(host, reaches):
    assert reaches("proxy", "192.0.2.2", 80)
    assert not reaches("proxy", "169.254.169.254", 80)
    assert not reaches("proxy", "192.0.2.1", 2222)
    assert reaches("proxy", address(host, "web"), 8000)


def test_ipv6_is_no_way_around(reaches, six):
    assert reaches("web", "fd00:99::2", 80)
    assert not reaches("gateway", "fd00:99::2", 80)
    assert not reaches("nginx", "fd00:99::2", 80)
    assert not reaches("web", "fd00:77:1::1", 2222)
    assert not reaches("gateway", "fd00:99::1", 2222)


def test_a_refusal_is_told_at_once(host, inside):
    seconds = host.check_output(
        f"nsenter --target {inside['web']} --net curl -s -o /dev/null --max-time 9 -w '%{{time_total}}' "
        "http://169.254.169.254/ || true"
    )
    assert float(seconds) < 5


def test_containers_of_others_and_their_rules_are_left_alone(host, probe, reaches, converge):
    host.check_output("nft add table inet theirs && nft add chain inet theirs forward")
    before = (
        host.check_output("iptables-save | grep -v '^#' | sed 's/\\[.*//'"),
        host.check_output("nft list table inet theirs"),
    )
    host.check_output(f"docker run --detach --name legacy {probe} /usr/bin/sleep 600")
    pid = host.check_output("docker inspect --format '{{.State.Pid}}' legacy")
    gateway = host.check_output("docker inspect --format '{{.NetworkSettings.Gateway}}' legacy")
    assert not reaches("web", gateway, 2222)
    asked = host.run(f"nsenter --target {pid} --net curl -s -o /dev/null --max-time 3 http://{gateway}:2222/")
    web = [address(host, "web", network) for network in ("edge", "app", "data")]
    past = [
        host.run(f"nsenter --target {pid} --net curl -s -o /dev/null --max-time 3 http://{one}:8000/").rc for one in web
    ]
    host.check_output("docker rm --force legacy")
    assert asked.rc == 0
    assert 0 not in past
    host.check_output("nft delete table inet broadcast_shop")
    assert converge().returncode == 0
    assert before == (
        host.check_output("iptables-save | grep -v '^#' | sed 's/\\[.*//'"),
        host.check_output("nft list table inet theirs"),
    )
    host.check_output("nft delete table inet theirs")


def test_what_is_asked_for_is_reached(reaches, converge):
    allowed = [
        {"address": "192.0.2.1", "ports": [2222], "reason": "the host's mail relay"},
        {"address": "169.254.169.254", "reason": "the instance's role"},
    ]
    assert converge(stack_allowed_connections=allowed).returncode == 0
    assert reaches("web", "192.0.2.1", 2222)
    assert not reaches("nginx", "192.0.2.2", 80)
    assert reaches("web", "169.254.169.254", 80)
    assert not reaches("web", "10.213.77.65", 2222)
    assert converge().returncode == 0
    assert not reaches("web", "192.0.2.1", 2222)


def test_open_connections_outlive_the_filter(host, inside):
    enter = f"nsenter --target {inside['web']} --net"
    host.check_output("nft delete table inet broadcast_shop")
    host.check_output(
        '(setsid %s bash -c \'exec 3<>/dev/tcp/192.0.2.1/2222; sleep 3; printf "GET / HTTP/1.0\\r\\n\\r\\n" >&3; '
        "timeout 5 cat <&3 > /tmp/open.log' > /dev/null 2>&1 &) ; sleep 1" % enter
    )
    host.check_output("nft --file /etc/broadcast.stack/shop.nft; sleep 5")
    assert "200 OK" in host.file("/tmp/open.log").content_string


def test_no_request_is_lost_when_the_filter_appears_on_a_running_stack(host, inside, converge):
    """From the network to the edge, from the edge to web, from web to the outside."""
    asked = {
        "lan": ("ip netns exec lan", "192.0.2.1", 8443),
        "nginx": (f"nsenter --target {inside['nginx']} --net", address(host, "web"), 8000),
        "web": (f"nsenter --target {inside['web']} --net", "192.0.2.2", 80),
    }
    host.check_output("nft delete table inet broadcast_shop; rm -f /tmp/load.stop /etc/broadcast.stack/shop.*")
    host.run_expect([0], f"cat > /tmp/load.py <<'END'\n{LOAD}END")
    for name, (enter, where, port) in asked.items():
        command = f"{enter} python3 /tmp/load.py {where} {port} /tmp/load.stop"
        host.check_output(f"(setsid {command} > /tmp/load.{name} 2>&1 &)")
    assert converge().returncode == 0
    host.check_output("nft list table inet broadcast_shop")
    host.check_output("sleep 2; touch /tmp/load.stop; sleep 6")
    for name in asked:
        done, failed = host.file(f"/tmp/load.{name}").content_string.split()
        assert int(done) > 100, name
        assert int(failed) == 0, (name, done, failed)
