# MIT License (see LICENSE)
"""What hosts of a fleet offer each other on their private addresses, and who may use it: plain data for the wiring."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence

from ansible_collections.broadcast.stack.plugins.plugin_utils import failures
from ansible_collections.broadcast.stack.plugins.plugin_utils.services import register

POSTGRES_PORT = 5432
REDIS_FIRST_PORT = 6379
WEB_FIRST_PORT = 8100
# Addresses of a network that are listed one by one.
LISTED_MAX = 1024


def images(host: str, groups: dict, catalog: dict) -> list[str]:
    """Names of the images that a host needs, out of those of the catalogue."""
    member = [group for group in register.GROUPS if host in groups.get(group, [])]
    wanted = {name for group in member for name in register.group_images(group)}
    return sorted(wanted & set(catalog))


def web_services(addresses: dict, slots: list, port: int) -> list[dict]:
    """Services of the gateway for web: each slot at a port of its own. addresses: slot to the container's address."""
    return [
        {
            "name": "-".join(filter(None, ["web", slot])),
            "port": WEB_FIRST_PORT + index,
            "target": "%s:%s" % (addresses[slot], port),
            "mutual": True,
        }
        for index, slot in enumerate(slots or [""])
    ]


def trusted_addresses(proxies: list) -> str:
    """What servers take as FORWARDED_ALLOW_IPS: addresses alone, since most versions of gunicorn refuse networks."""
    addresses = ["127.0.0.1"]
    for proxy in proxies:
        try:
            network = ipaddress.ip_network(proxy, strict=False)
        except ValueError as error:
            raise ValueError("django_web_trusted_proxies: %s" % error) from error
        if network.num_addresses > LISTED_MAX:
            text = "django_web_trusted_proxies: %s has more than %d addresses; name the proxies or a smaller network"
            raise ValueError(text % (proxy, LISTED_MAX))
        addresses += map(str, network)
    return ",".join(dict.fromkeys(addresses))


def redis_services(addresses: dict) -> list[dict]:
    """Services of the gateway for Redis. addresses: instance to the container's address."""
    return [
        {
            "name": "redis-" + name,
            "port": REDIS_FIRST_PORT + index,
            "target": "%s:6379" % address,
            "mutual": False,
        }
        for index, (name, address) in enumerate(addresses.items())
    ]


def firewall(host: str, groups: dict, addresses: dict, ports: dict, fenced: Sequence[str] = ()) -> dict:
    """What docker_host_firewall takes on a host: {address, ports, peers, peer_ports}.

    groups: group to hosts. addresses: host to private address, without hosts that leave. ports: group to the ports that
    its hosts publish. fenced: hosts that were left out by the live release; data is closed to them, since what starts
    there is an older one. Web stays open to such an edge.
    """
    published = []
    for group, numbers in ports.items():
        if host not in groups.get(group, []):
            continue
        clients = set(register.members(groups, register.GROUPS[group].clients)) & set(addresses) - {host}
        clients -= set(fenced) if group in register.DATA_GROUPS else set()
        sources = sorted(addresses[client] for client in clients)
        published += [{"port": int(number), "protocol": "tcp", "sources": sources} for number in numbers]
    return {
        "address": addresses[host],
        "ports": published,
        "peers": sorted(address for name, address in addresses.items() if name != host),
        "peer_ports": sorted({int(number) for numbers in ports.values() for number in numbers}),
    }


def leaving_problems(host: str, groups: dict) -> list[str]:
    """Why a host cannot be taken out of the fleet; empty when it can. groups: group to hosts."""
    if host not in register.members(groups):
        return ["'%s' is no host of this stack: name one with -e host=" % host]
    found = [
        "%s runs %s and has its data: move the data first, as docs/backup-and-restore.md shows" % (host, group)
        for group in register.DATA_GROUPS
        if host in groups.get(group, [])
    ]
    found += [
        "%s is the only host of the group %s" % (host, group)
        for group in register.SPARE_GROUPS
        if groups.get(group, []) == [host]
    ]
    return found


def left_out(host: str, observations: dict, groups: dict) -> str:
    """What it means that a run goes on without a host. observations: as in absent_problems."""
    found = observations[host]
    clients = [client for group in register.USED_DATA_GROUPS for client in register.GROUPS[group].clients]
    cut_off = [client for client in clients if client in register.SPARE_GROUPS]
    text = "%s is left out: %s. It gets no requests%s until a run has converged it." % (
        host,
        (failures.reason(found) or "unreachable").rstrip("."),
        ", and a release closes the data to it," if host in register.members(groups, cut_off) else "",
    )
    workers = groups.get("worker", [])
    if host in workers and all("containers" not in observations.get(name, {}) for name in workers):
        text += " No worker, no beat and no command on a timer of the stack runs until then: no other host has them."
    return text


def absent_problems(observations: dict, groups: dict, leave_out: bool) -> list[str]:
    """Why a run cannot do without the hosts that were not observed; empty when it can.

    observations: host to the result of stack_info, or to what stood instead of it. leave_out: whether the inventory
    lets a host that cannot be reached be left out, which holds where others do the same work.
    """
    absent = {host: found for host, found in observations.items() if "containers" not in found}
    problems = []
    for host, found in absent.items():
        reason = failures.reason(found)
        held = [group for group in register.DATA_GROUPS if host in groups.get(group, [])]
        if not found.get("unreachable"):
            problems.append("%s could not be observed: %s" % (host, reason))
        elif held:
            problems.append("%s runs %s and cannot be reached: %s" % (host, ", ".join(held), reason))
        elif not leave_out:
            advice = "bring it back, or leave it out by -e stack_unreachable_hosts=leave_out"
            problems.append("%s cannot be reached (%s): %s" % (host, reason, advice))
    return problems + [
        "no host of the group %s can be reached" % group
        for group in register.SPARE_GROUPS
        if register.GROUPS[group].required and absent and set(groups.get(group, [])) <= set(absent)
    ]
