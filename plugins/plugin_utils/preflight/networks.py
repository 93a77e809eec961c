# MIT License (see LICENSE)
"""Networks and addresses: the stack's own, Docker's, the host's and those of a fleet."""

from __future__ import annotations

import ipaddress
import typing as t

from ansible_collections.broadcast.stack.plugins.plugin_utils.preflight.problems import Problem, shown


def subnet_prefix_problems(stack_subnet_prefix: str) -> list[Problem]:
    remedy = 'give the first three octets of a private network, such as "10.213.77"'
    try:
        network = ipaddress.ip_network(stack_subnet_prefix + ".0/24")
    except ValueError:
        return [Problem("stack_subnet_prefix", "not three octets", remedy, shown(stack_subnet_prefix))]
    if stack_subnet_prefix.count(".") != 2:
        return [Problem("stack_subnet_prefix", "not three octets", remedy, shown(stack_subnet_prefix))]
    if not network.is_private or network.is_loopback or network.is_link_local:
        return [Problem("stack_subnet_prefix", "not a private network", remedy, shown(stack_subnet_prefix))]
    return []


def network_problems(
    wanted: t.Sequence[t.Mapping[str, t.Any]],
    networks: t.Mapping[str, t.Mapping[str, t.Any]],
    routes: t.Sequence[t.Mapping[str, str]],
    addresses: t.Collection[str] = (),
) -> list[Problem]:
    """The stack's subnets against other Docker networks, the host's own networks and its addresses."""
    remedy = "choose another stack_subnet_prefix"
    own = {network["name"] for network in wanted}
    docker = {ipaddress.ip_network(row["subnet"]) for row in networks.values() if row.get("subnet")}
    problems = []
    for network in wanted:
        subnet = parsed_network(network.get("subnet", ""))
        if subnet is None:
            continue
        value = "%s %s" % (network["name"], subnet)
        for name, row in sorted(networks.items()):
            other = parsed_network(row.get("subnet", ""))
            if name not in own and other and overlap(subnet, other):
                text = "overlaps Docker's network %s (%s)" % (name, other)
                problems.append(Problem("stack_subnet_prefix", text, remedy, value))
        for route in routes:
            other = parsed_network(route["network"])
            # The default route covers everything and collides with nothing.
            if other and other.prefixlen and other not in docker and overlap(subnet, other):
                text = "overlaps the host's network %s on %s" % (other, route["interface"])
                problems.append(Problem("stack_subnet_prefix", text, remedy, value))
        for address in addresses:
            other = parsed_network(address)
            if other and overlap(subnet, other):
                text = "contains the host's address %s" % address
                problems.append(Problem("stack_subnet_prefix", text, remedy, value))
    return problems


def parsed_network(text: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network | None:
    try:
        return ipaddress.ip_network(text, strict=False)
    except ValueError:
        return None


def overlap(one: t.Any, other: t.Any) -> bool:
    return one.version == other.version and one.overlaps(other)


def private_address_problems(address: str, others: t.Mapping[str, str], present: t.Collection[str]) -> list[Problem]:
    """A host's address in a fleet. others: the addresses of the other hosts. present: what the host has, if known."""
    name, value = "stack_private_address", shown(address)
    try:
        wrong = ipaddress.IPv4Address(address).is_loopback
    except ValueError:
        wrong = True
    if wrong:
        remedy = "set it for the host in hosts.yml or host_vars, such as 10.0.0.11"
        return [Problem(name, "not an IPv4 address at which other hosts reach this one", remedy, value)]
    if same := sorted(host for host, other in others.items() if other == address):
        return [Problem(name, "is the address of %s as well" % ", ".join(same), "give each host its own", value)]
    if present and address not in present:
        text = "is none of the host's own addresses (%s)" % ", ".join(present)
        return [Problem(name, text, "set it to one of them: services bind to it", value)]
    return []
