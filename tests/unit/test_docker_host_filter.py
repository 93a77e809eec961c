"""Networks of a Docker host."""

from __future__ import annotations

from ansible_collections.broadcast.stack.plugins.filter import docker_host

WISHED = [{"name": "shop-data", "subnet": "10.1.0.0/24", "internal": True}]


def test_a_missing_network_and_one_as_wished_are_no_problem():
    assert docker_host.network_problems(WISHED, {"bridge": {"subnet": "172.17.0.0/16", "internal": False}}) == []
    assert docker_host.network_problems(WISHED, {"shop-data": {"subnet": "10.1.0.0/24", "internal": True}}) == []


def test_a_different_network_of_the_same_name_is_named_with_the_remedy():
    (problem,) = docker_host.network_problems(WISHED, {"shop-data": {"subnet": "10.1.0.0/24", "internal": False}})
    assert "docker network rm shop-data" in problem


def test_an_overlapping_subnet_is_named():
    (problem,) = docker_host.network_problems(WISHED, {"office": {"subnet": "10.1.0.0/16", "internal": False}})
    assert "overlaps 10.1.0.0/16 of the network office" in problem


def test_networks_without_a_subnet_or_with_ipv6_are_left_alone():
    observed = {"none": {"subnet": "", "internal": False}, "six": {"subnet": "fd00::/64", "internal": False}}
    assert docker_host.network_problems(WISHED, observed) == []


def test_the_dynamic_range_gets_docker_networks_own_word():
    network = {"name": "n", "subnet": "10.1.0.0/24", "ip_range": "10.1.0.128/25"}
    assert docker_host.ipam(network) == {"subnet": "10.1.0.0/24", "iprange": "10.1.0.128/25"}


def test_a_network_of_another_stack_is_not_used():
    observed = {"shop-data": {"subnet": "10.1.0.0/24", "internal": True, "stack": "other"}}
    (problem,) = docker_host.network_problems(WISHED, observed, "shop")
    assert "of the stack other" in problem


def test_a_filter_that_nobody_may_apply_is_refused():
    host = {"engine": {"installed": True, "configuration": {}}, "host": {"uid": 1000, "nft": True}}
    (problem,) = docker_host.problems({}, host, manage=False, wanted={"inward": []})
    assert "needs root" in problem
    host["host"] = {"uid": 0, "nft": False}
    assert "nftables" in docker_host.problems({}, host, manage=False, wanted={"inward": []})[0]
    assert docker_host.problems({}, host, manage=True, wanted={"inward": []}) == []
    assert docker_host.problems({}, host, manage=False, wanted={}) == []
