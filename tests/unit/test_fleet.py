"""How services are reached between hosts."""

from __future__ import annotations

from ansible_collections.broadcast.stack.plugins.module_utils import access, fleet

PORTS = {"postgres": 5432, "redis": 6379, "web": 8100}
GROUPS = {"postgres": ["db"], "redis": ["db"], "web": ["a", "b"], "worker": ["w"], "edge": ["a"]}
ADDRESSES = {"db": "10.0.0.1", "a": "10.0.0.2", "b": "10.0.0.3", "w": "10.0.0.4"}


def rules(host):
    return fleet.firewall(host, GROUPS, ADDRESSES, PORTS, ["blue", "green"], ["broker", "cache"], "10.213.7.0/24")


def test_each_port_is_open_to_the_hosts_that_use_it_and_to_no_other():
    opened = {service["port"]: service["sources"] for service in rules("db")["services"]}
    assert sorted(opened) == [5432, 6379, 6380]
    assert set(map(tuple, opened.values())) == {("10.0.0.2", "10.0.0.3", "10.0.0.4")}
    assert {service["port"]: service["sources"] for service in rules("b")["services"]} == {
        8100: ["10.0.0.2"],
        8101: ["10.0.0.2"],
    }
    # Its own edge comes from the stack's networks.
    assert {service["port"]: service["sources"] for service in rules("a")["services"]} == {8100: [], 8101: []}
    assert rules("w")["services"] == []


def test_the_fleet_is_known_on_every_host():
    assert rules("w")["fleet"] == sorted(ADDRESSES.values())
    assert rules("w")["fleet_ports"] == [5432, 6379, 6380, 8100, 8101]


def test_a_gateway_serves_every_slot_and_instance_of_its_host():
    web = {"slots": ["blue", "green"], "addresses": {"blue": "10.1.1.11", "green": "10.1.1.12"}, "port": 8000}
    redis = {"instances": ["broker"], "addresses": {"broker": "10.1.1.140"}}
    assert fleet.gateway_services(PORTS, web, redis) == [
        {"name": "web-blue", "port": 8100, "target": "10.1.1.11:8000", "mutual": True},
        {"name": "web-green", "port": 8101, "target": "10.1.1.12:8000", "mutual": True},
        {"name": "redis-broker", "port": 6379, "target": "10.1.1.140:6379", "mutual": False},
    ]
    assert fleet.gateway_services(PORTS) == []


def test_redis_is_reached_with_tls_between_hosts_and_by_name_on_one():
    instances = {"broker": {"password": "p/w"}, "cache": {"password": "x"}}
    uses = {"cache": {"database": 1}}
    over = {"host": "10.0.0.1", "port": 6379, "ca": "/run/config/stack-ca.crt"}
    found = access.redis_access(uses, "shop-redis", instances, over)["cache"]
    assert found["url"] == (
        "rediss://app:x@10.0.0.1:6380/1?ssl_cert_reqs=required&ssl_ca_certs=/run/config/stack-ca.crt"
    )
    assert (found["port"], found["tls"]) == (6380, True)
    alone = access.redis_access(uses, "shop-redis", instances)["cache"]
    assert (alone["url"], alone["tls"]) == ("redis://app:x@shop-redis-cache:6379/1", False)
