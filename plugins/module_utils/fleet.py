# MIT License (see LICENSE)
"""How the services of a stack are reached between its hosts: ports, the gateway's services and the firewall's rules."""

from __future__ import annotations


def numbered(names, first):
    """Name to port, in order, from the first on."""
    return {name: int(first) + index for index, name in enumerate(names)}


def gateway_services(ports, web=None, redis=None):
    """What a host's gateway serves: list of {name, port, target, mutual}.

    ports: {web, redis}, the first port of each. web: {slots (names), addresses (slot to address), port} on a host of
    web. redis: {instances (names), addresses (instance to address)} on a host of Redis. Web asks its clients for a
    certificate, Redis for a password.
    """
    found = []
    if web:
        for slot, port in numbered(web["slots"], ports["web"]).items():
            target = "%s:%s" % (web["addresses"][slot], web["port"])
            found.append({"name": "web-" + slot, "port": port, "target": target, "mutual": True})
    if redis:
        for instance, port in numbered(redis["instances"], ports["redis"]).items():
            target = "%s:6379" % redis["addresses"][instance]
            found.append({"name": "redis-" + instance, "port": port, "target": target, "mutual": False})
    return found


def firewall(host, groups, addresses, ports, slots, instances, subnet):
    """What the firewall of a host opens, to whom: {address, services, subnets, fleet, fleet_ports}.

    host: its name. groups: group to hosts. addresses: host to private address. ports: {postgres, redis, web}. subnet:
    of the stack's container networks. Each port is open to the hosts of the groups that use it and to the stack's own
    containers on the host.
    """
    users = {"postgres": ("web", "worker"), "redis": ("web", "worker"), "web": ("edge",)}
    opened = {
        "postgres": [int(ports["postgres"])],
        "redis": list(numbered(instances, ports["redis"]).values()),
        "web": list(numbered(slots, ports["web"]).values()),
    }
    services = []
    for service, numbers in opened.items():
        if host in groups.get(service, []):
            hosts = {name for group in users[service] for name in groups.get(group, [])} - {host}
            sources = sorted(addresses[name] for name in hosts)
            services += [{"port": port, "protocol": "tcp", "sources": sources} for port in numbers]
    return {
        "address": addresses[host],
        "services": services,
        "subnets": [subnet],
        "fleet": sorted(set(addresses.values())),
        "fleet_ports": sorted(port for numbers in opened.values() for port in numbers),
    }
