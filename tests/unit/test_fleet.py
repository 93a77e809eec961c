"""What hosts of a fleet offer each other, and the packet filter that follows from it."""

from __future__ import annotations

import hashlib

import pytest
from ansible_collections.broadcast.stack.plugins.filter import docker_host
from ansible_collections.broadcast.stack.plugins.module_utils import firewall, host_facts
from ansible_collections.broadcast.stack.plugins.modules import stack_firewall
from ansible_collections.broadcast.stack.plugins.plugin_utils.fleet import fleet
from ansible_collections.broadcast.stack.plugins.plugin_utils.services import access

GROUPS = {
    "postgres": ["db"],
    "redis": ["db"],
    "web": ["w1", "w2"],
    "worker": ["w2"],
    "edge": ["e1", "w1"],
    "backups": ["db"],
}
ADDRESSES = {"db": "10.0.0.1", "w1": "10.0.0.2", "w2": "10.0.0.3", "e1": "10.0.0.4"}
PORTS = {"postgres": [5432], "redis": [6379, 6380], "web": [8100, 8101]}
SUBNETS = ["10.213.7.0/26", "10.213.7.64/26"]
NETWORKS = [{"name": "shop-%d" % index, "subnet": subnet} for index, subnet in enumerate(SUBNETS)]


def test_each_slot_of_web_is_a_service_that_only_the_fleet_may_use():
    addresses = {"blue": "10.213.7.11", "green": "10.213.7.12", "": "10.213.7.10"}
    assert fleet.web_services(addresses, ["blue", "green"], 8000) == [
        {"name": "web-blue", "port": 8100, "target": "10.213.7.11:8000", "mutual": True},
        {"name": "web-green", "port": 8101, "target": "10.213.7.12:8000", "mutual": True},
    ]
    assert fleet.web_services(addresses, [], 8000)[0] == {
        "name": "web",
        "port": 8100,
        "target": "10.213.7.10:8000",
        "mutual": True,
    }


def test_each_instance_of_redis_is_a_service():
    services = fleet.redis_services({"broker": "10.213.7.170", "cache": "10.213.7.171"})
    assert [(one["name"], one["port"], one["target"], one["mutual"]) for one in services] == [
        ("redis-broker", 6379, "10.213.7.170:6379", False),
        ("redis-cache", 6380, "10.213.7.171:6379", False),
    ]


@pytest.mark.parametrize(
    ("host", "ports"),
    [
        (
            "db",
            {5432: ["10.0.0.2", "10.0.0.3"], 6379: ["10.0.0.2", "10.0.0.3"], 6380: ["10.0.0.2", "10.0.0.3"]},
        ),
        ("w1", {8100: ["10.0.0.4"], 8101: ["10.0.0.4"]}),
        ("w2", {8100: ["10.0.0.2", "10.0.0.4"], 8101: ["10.0.0.2", "10.0.0.4"]}),
        ("e1", {}),
    ],
)
def test_a_port_is_open_to_the_hosts_that_use_it(host, ports):
    found = fleet.firewall(host, GROUPS, ADDRESSES, PORTS)
    assert {entry["port"]: entry["sources"] for entry in found["ports"]} == ports
    assert found["address"] == ADDRESSES[host]
    assert found["peers"] == sorted(set(ADDRESSES.values()) - {ADDRESSES[host]})
    assert found["peer_ports"] == [5432, 6379, 6380, 8100, 8101]


def test_data_is_closed_to_hosts_that_the_live_release_left_out():
    """Also where such a host is an edge or holds web: those ports are not data."""
    wanted = fleet.firewall("db", GROUPS, ADDRESSES, PORTS, fenced=["w1"])
    found = wanted["ports"]
    assert [(entry["port"], entry["sources"]) for entry in found] == [
        (port, ["10.0.0.3"]) for port in (5432, 6379, 6380)
    ]
    # Whatever the state of a connection is, so open ones end as well.
    text = firewall.rules("shop", wanted, SUBNETS, "Managed")
    dropped = [line.strip() for line in text.splitlines() if "proto-dst { 5432" in line or "proto-dst 5432" in line]
    assert dropped
    assert all(line.endswith("saddr != { 10.213.7.0/26, 10.213.7.64/26, 10.0.0.3 } drop") for line in dropped)
    open_as_before = fleet.firewall("w2", GROUPS, ADDRESSES, PORTS)
    assert fleet.firewall("w2", GROUPS, ADDRESSES, PORTS, fenced=["w1"]) == open_as_before


@pytest.mark.parametrize(
    ("away", "said"),
    [
        (["e1"], "e1 is left out: timed out. It gets no requests until a run has converged it."),
        (["w1"], "w1 is left out: timed out. It gets no requests, and a release closes the data to it, until"),
        (["w2"], "No worker, no beat and no command on a timer of the stack runs until then"),
    ],
)
def test_what_is_missing_without_a_host_is_told(away, said):
    here = {"containers": {}}
    gone = {"unreachable": True, "msg": "timed out\nmore"}
    observations = {host: gone if host in away else here for host in ADDRESSES}
    text = fleet.left_out(away[0], observations, GROUPS)
    assert said in text
    assert ("No worker" in text) is (away == ["w2"])
    spare = {**GROUPS, "worker": ["w2", "w3"]}
    assert "No worker" not in fleet.left_out(away[0], {**observations, "w3": here}, spare)


def test_one_more_web_host_changes_only_sources():
    more = {**GROUPS, "web": ["w1", "w2", "w3"]}
    addresses = {**ADDRESSES, "w3": "10.0.0.9"}
    found = fleet.firewall("db", more, addresses, PORTS)
    assert found["ports"][0]["sources"] == ["10.0.0.2", "10.0.0.3", "10.0.0.9"]


def test_the_rules_judge_connections_by_what_they_were_opened_to():
    text = firewall.rules("my-shop", fleet.firewall("w1", GROUPS, ADDRESSES, PORTS), SUBNETS, "Managed")
    lines = [" ".join(line.split()) for line in text.splitlines()]
    assert lines[:4] == [
        "# Managed",
        "table inet broadcast_my_shop",
        "delete table inet broadcast_my_shop",
        "table inet broadcast_my_shop {",
    ]
    assert (
        "ct original ip daddr 10.0.0.2 meta l4proto tcp ct original proto-dst 8100 ct original ip saddr != "
        "{ 10.213.7.0/26, 10.213.7.64/26, 10.0.0.4 } drop"
    ) in lines
    assert (
        "ct original ip daddr { 10.213.7.0/26, 10.213.7.64/26 } ct original ip saddr != "
        "{ 10.213.7.0/26, 10.213.7.64/26 } drop"
    ) in lines
    assert [line for line in lines if line.startswith("ip daddr { 10.0.0.1, 10.0.0.3, 10.0.0.4 } tcp dport { 5432,")]


SEEN = {
    "networks": {"shop-0": {"id": "0123456789abcdef"}, "shop-1": {"id": "fedcba9876543210"}},
    "host": {"addresses": ["10.0.0.2", "172.17.0.1"], "nameservers": ["10.0.0.2", "192.0.2.53"]},
    "engine": {"configuration": {"text": '{"dns": ["172.17.0.1"]}', "arguments": []}},
}


def chains(wanted: dict) -> dict[str, list[str]]:
    """Rules by chain, without comments."""
    text = docker_host.firewall_rules(wanted, "shop", NETWORKS, SEEN)
    parts = text.split("    chain ")[1:]
    lines = {part.split(" ", 1)[0]: [line.strip() for line in part.splitlines()[2:]] for part in parts}
    return {hook: [line for line in found if line and line[0] not in "#}"] for hook, found in lines.items()}


def test_a_single_host_has_the_same_filter():
    found = chains({"inward": ["10.213.7.0/26"], "allow": []})
    inside, refuse = "{ 10.213.7.0/26, 10.213.7.64/26 }", firewall.REFUSE
    assert found["forward"][0] == "ct original ip daddr %s ct original ip saddr != %s drop" % (inside, inside)
    outward = "ip saddr { 10.213.7.0/26 } ip daddr != %s" % inside
    assert "%s tcp flags & (syn | ack) == syn ct state new %s" % (outward, refuse) in found["forward"]
    assert "%s meta l4proto != tcp ct state new %s" % (outward, refuse) in found["forward"]
    assert any("169.254.0.0/16" in line and line.endswith("dport != 53 " + refuse) for line in found["forward"])
    assert any("fd00:ec2::/32" in line and line.startswith('iifname { "br-0123456789ab"') for line in found["forward"])
    marked = "ether saddr & ff:ff:ff:00:00:00 == 0a:b5:7a:00:00:00"
    match = "ip saddr %s %s ip daddr != %s meta l4proto != tcp ct state new %s"
    assert match % (inside, marked, inside, refuse) in found["forward"]
    bridges = '{ "br-0123456789ab", "br-fedcba987654" }'
    sources = ["iifname %s %s" % (bridges, marked), 'iifname { "br-0123456789ab" }']
    for source in sources:
        match = "meta nfproto ipv6 %s oifname != %s meta l4proto != tcp ct state new %s"
        assert match % (source, bridges, refuse) in found["forward"]
    assert found["input"] == [
        # The host's own name servers, one of them told to Docker.
        "ip saddr %s ip daddr { 10.0.0.2, 172.17.0.1 } meta l4proto { tcp, udp } th dport 53 accept" % inside,
        "ip saddr %s ct state new %s" % (inside, refuse),
        'meta nfproto ipv6 iifname { "br-0123456789ab", "br-fedcba987654" } ct state new %s' % refuse,
    ]


def test_what_the_inventory_asks_for_comes_first():
    allow = [{"address": "10.0.0.2", "ports": [25]}, {"address": "fd00:ec2::254"}]
    for found in chains({"inward": [], "allow": allow}).values():
        assert found[0] == "ip saddr { 10.213.7.0/26, 10.213.7.64/26 } ip daddr 10.0.0.2 tcp dport { 25 } accept"
        assert found[1] == 'iifname { "br-0123456789ab", "br-fedcba987654" } ip6 daddr fd00:ec2::254 accept'


def test_in_a_fleet_containers_without_a_way_out_reach_the_other_hosts_services():
    wanted = {**fleet.firewall("w1", GROUPS, ADDRESSES, PORTS), "inward": ["10.213.7.0/26"], "allow": []}
    found = chains(wanted)
    marked = "ip saddr { 10.213.7.0/26, 10.213.7.64/26 } ether saddr &"
    for source in ("ip saddr { 10.213.7.0/26 } ip daddr", marked):
        way = [line for line in found["forward"] if line.startswith(source)]
        assert [line.rsplit(" ", 1)[1] for line in way] == ["accept"] + ["admin-prohibited"] * 2
        assert " ip daddr { 10.0.0.1, 10.0.0.3, 10.0.0.4 } tcp dport { 5432, 6379, 6380, 8100, 8101 }" in way[0]
    # An Engine with a userland proxy answers these on the host itself.
    assert found["input"][0].endswith("ip daddr 10.0.0.2 tcp dport { 8100, 8101 } accept")


def test_without_a_filter_there_are_no_rules():
    assert docker_host.firewall_rules({}, "shop", NETWORKS, SEEN) == ""
    nothing = {"files": {}, "host": {"firewall": ""}}
    assert docker_host.firewall_differs("", "shop", nothing) is False


def observation(rules: str, live: str, applied: str) -> dict:
    paths = firewall.paths("shop")
    contents = {paths["rules"]: rules, paths["applied"]: applied}
    files = {path: {"sha256": hashlib.sha256(text.encode()).hexdigest()} for path, text in contents.items() if text}
    return {"files": files, "host": {"firewall": live}}


@pytest.mark.parametrize(
    ("rules", "live", "applied", "differs"),
    [
        ("wished", "d1", "d1", False),
        ("other", "d1", "d1", True),
        # Flushed by hand, or changed.
        ("wished", "", "d1", True),
        ("wished", "d2", "d1", True),
        ("", "", "", True),
    ],
)
def test_a_changed_file_and_a_changed_table_are_seen(rules, live, applied, differs):
    seen = observation(rules, live, applied)
    assert docker_host.firewall_differs("wished", "shop", seen) is differs
    assert docker_host.firewall_differs("", "shop", seen) is bool(rules)


class Kernel:
    """Stands in for nft: keeps what it is given as the table."""

    def __init__(self):
        self.table, self.calls, self.refuses = "", [], False

    def __call__(self, *arguments, stdin=None):
        self.calls.append(arguments)
        code = 1 if self.refuses and "--file" in arguments else 0
        if not code and arguments[0] == "--file":
            self.table = stdin
        if arguments[0] == "delete":
            self.table = ""
        if "list" in arguments:
            code = 0 if self.table else 1
        return firewall.subprocess.CompletedProcess(arguments, code, self.table, "refused" if code else "")


@pytest.fixture
def kernel(monkeypatch) -> Kernel:
    stand_in = Kernel()
    monkeypatch.setattr(firewall, "nft", stand_in)
    return stand_in


def test_rules_are_checked_kept_and_applied_once(tmp_path, kernel):
    folder = str(tmp_path / "etc")
    assert not stack_firewall.applied("shop", "rules", folder)
    assert stack_firewall.apply("shop", "rules", folder) == ""
    assert kernel.calls[0][0] == "--check"
    assert stack_firewall.applied("shop", "rules", folder)
    assert host_facts.firewall_state("shop", folder) == (tmp_path / "etc" / "shop.applied").read_text()
    kernel.table = "changed by hand"
    assert not stack_firewall.applied("shop", "rules", folder)


def test_rules_that_the_kernel_refuses_replace_no_file(tmp_path, kernel):
    stack_firewall.apply("shop", "good", str(tmp_path))
    kernel.refuses = True
    assert stack_firewall.apply("shop", "bad", str(tmp_path)) == "refused"
    assert (tmp_path / "shop.nft").read_text() == "good"


def test_no_rules_remove_the_table_and_its_files(tmp_path, kernel):
    stack_firewall.apply("shop", "rules", str(tmp_path))
    assert stack_firewall.apply("shop", "", str(tmp_path)) == ""
    assert kernel.table == ""
    assert list(tmp_path.iterdir()) == []
    assert stack_firewall.applied("shop", "", str(tmp_path))


def test_a_host_without_rules_starts_no_program(tmp_path, kernel):
    assert host_facts.firewall_state("shop", str(tmp_path)) == ""
    assert kernel.calls == []


def test_the_hosts_own_addresses_are_read_from_the_kernel(tmp_path):
    table = tmp_path / "fib_trie"
    table.write_text(
        "Main:\n  +-- 0.0.0.0/0 3 0 5\n     |-- 0.0.0.0\n        /0 universe UNICAST\n     |-- 10.0.0.255\n"
        "        /32 link BROADCAST\n     |-- 10.0.0.2\n        /32 host LOCAL\n     |-- 127.0.0.1\n"
        "        /32 host LOCAL\n"
    )
    assert host_facts.addresses(str(table)) == ["10.0.0.2"]
    assert host_facts.addresses(str(tmp_path / "absent")) == []


def test_an_application_reaches_redis_by_tls_in_a_fleet():
    instances = {"broker": {"password": "p@ss"}}
    reached = {"host": "10.0.0.1", "ports": {"broker": 6379}, "ca": "/run/config/stack-ca.crt"}
    found = access.redis_access({"broker": {}}, "shop-redis", instances, reached)["broker"]
    assert found["url"] == (
        "rediss://app:p%40ss@10.0.0.1:6379/0?ssl_cert_reqs=required&ssl_ca_certs=/run/config/stack-ca.crt"
    )
    assert (found["tls"], found["ca"]) == (True, "/run/config/stack-ca.crt")
    local = access.redis_access({"broker": {}}, "shop-redis", instances, {})["broker"]
    assert (local["url"], local["tls"]) == ("redis://app:p%40ss@shop-redis-broker:6379/0", False)


def test_an_application_is_told_how_to_verify_the_database():
    database = {"host": "10.0.0.1", "port": 5432, "name": "shop", "sslmode": "verify-full", "sslrootcert": "/ca.crt"}
    found = access.database_access(database, "app", "word")
    assert (found["sslmode"], found["sslrootcert"]) == ("verify-full", "/ca.crt")
    assert found["url"] == "postgresql://app:word@10.0.0.1:5432/shop"


def test_a_host_gets_the_images_of_its_groups_and_no_other():
    groups = {"edge": ["a", "b"], "web": ["b"], "worker": ["c"], "postgres": ["d"], "redis": ["d"], "backups": ["d"]}
    catalog = {name: {} for name in ("base", "builder", "postgres", "redis", "backups", "nginx", "django")}
    wanted = {host: fleet.images(host, groups, catalog) for host in "abcde"}
    assert wanted == {
        # It publishes the static files that are in the application's image.
        "a": ["django", "nginx"],
        "b": ["django", "nginx"],
        "c": ["django"],
        # nginx is the gateway of Redis.
        "d": ["backups", "nginx", "postgres", "redis"],
        "e": [],
    }


def test_an_application_that_is_built_elsewhere_is_no_image_of_a_host():
    assert fleet.images("a", {"web": ["a"]}, {"nginx": {}}) == ["nginx"]


def test_trusted_networks_are_listed_address_by_address_since_gunicorn_refuses_networks():
    listed = fleet.trusted_addresses(["10.0.0.4/30", "10.1.0.1", "fd00::/127", "127.0.0.1"])
    assert listed == "127.0.0.1,10.0.0.4,10.0.0.5,10.0.0.6,10.0.0.7,10.1.0.1,fd00::,fd00::1"
    assert fleet.trusted_addresses([]) == "127.0.0.1"


@pytest.mark.parametrize("proxy", ["10.0.0.0/8", "fd00::/64", "edge.example.org"])
def test_what_cannot_be_listed_is_refused_by_the_name_of_its_variable(proxy):
    with pytest.raises(ValueError, match="django_web_trusted_proxies: .*%s" % proxy):
        fleet.trusted_addresses([proxy])
