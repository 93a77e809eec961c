# MIT License (see LICENSE)
"""What hosts of a fleet offer each other on their private addresses, and who may use it: plain data for the wiring."""

from __future__ import annotations

POSTGRES_PORT = 5432
REDIS_FIRST_PORT = 6379
WEB_FIRST_PORT = 8100
# Groups whose hosts connect to a service of a group.
CLIENTS = {"postgres": ("web", "worker", "backups"), "redis": ("web", "worker"), "web": ("edge",)}


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


def firewall(host: str, groups: dict, addresses: dict, ports: dict) -> dict:
    """What docker_host_firewall takes on a host: {address, ports, peers, peer_ports}.

    groups: group to hosts. addresses: host to private address. ports: group to the ports that its hosts publish.
    """
    published = []
    for group, numbers in ports.items():
        if host not in groups.get(group, []):
            continue
        clients = {client for name in CLIENTS[group] for client in groups.get(name, [])} - {host}
        sources = sorted(addresses[client] for client in clients)
        published += [{"port": int(number), "protocol": "tcp", "sources": sources} for number in numbers]
    return {
        "address": addresses[host],
        "ports": published,
        "peers": sorted(address for name, address in addresses.items() if name != host),
        "peer_ports": sorted({int(number) for numbers in ports.values() for number in numbers}),
    }
