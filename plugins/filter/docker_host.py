# MIT License (see LICENSE)
"""Filters of the docker_host role."""

from __future__ import annotations

import ipaddress


def network_problems(networks: list[dict], observed: dict[str, dict]) -> list[str]:
    """Existing networks that are not as wished, and subnets that meet another network; one message each.

    networks: items of docker_host_networks. observed: name to {internal, subnet}, from stack_info.
    """
    found = []
    names = {network["name"] for network in networks}
    for network in networks:
        name, subnet = network["name"], ipaddress.ip_network(network["subnet"])
        present = observed.get(name)
        wished = (str(subnet), bool(network.get("internal")))
        if present and (present["subnet"], present["internal"]) != wished:
            found.append(
                "docker_host_networks: %s exists with subnet %s, internal %s instead of %s, %s. A network cannot be "
                "changed: run playbooks/down.yml, remove it with `docker network rm %s` and run again."
                % (name, present["subnet"], present["internal"], *wished, name)
            )
        for other, state in observed.items():
            if other in names or ":" in state["subnet"] or not state["subnet"]:
                continue
            if subnet.overlaps(ipaddress.ip_network(state["subnet"])):
                found.append(
                    "docker_host_networks: subnet %s of %s overlaps %s of the network %s; choose another one."
                    % (subnet, name, state["subnet"], other)
                )
    return found


def ipam(network: dict) -> dict:
    """An item of docker_host_networks as an ipam_config of docker_network, whose word for ip_range is iprange."""
    result = {"subnet": network["subnet"]}
    if network.get("ip_range"):
        result["iprange"] = network["ip_range"]
    return result


class FilterModule:
    """Networks of a Docker host."""

    def filters(self):
        return {"docker_host_network_problems": network_problems, "docker_host_ipam": ipam}
