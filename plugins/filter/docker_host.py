# MIT License (see LICENSE)
"""Filters of the docker_host role."""

from __future__ import annotations

import hashlib
import ipaddress

from ansible_collections.broadcast.stack.plugins.module_utils import firewall
from ansible_collections.broadcast.stack.plugins.plugin_utils import engine_options

MANAGED = "Ansible managed"


def network_problems(networks: list[dict], observed: dict[str, dict], stack: str = "") -> list[str]:
    """Existing networks that are not as wished, and subnets that meet another network; one message each.

    networks: items of docker_host_networks. observed: name to {internal, stack, subnet}, from stack_info. One without a
    stack is of a version that gave none a label, or somebody else's who made it alike.
    """
    found = []
    names = {network["name"] for network in networks}
    for network in networks:
        name, subnet = network["name"], ipaddress.ip_network(network["subnet"])
        present = observed.get(name)
        wished = (str(subnet), bool(network.get("internal")))
        if present and present.get("stack") not in ("", None, stack):
            found.append(
                "docker_host_networks: %s is a network of the stack %s; choose another stack_name."
                % (name, present["stack"])
            )
        elif present and (present["subnet"], present["internal"]) != wished:
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


def engine(observation: dict, options: dict, manage: bool, change: bool) -> dict:
    """What becomes of the Engine's options, see engine_options.merge, and due: whether anything does.

    options: docker_host_daemon_options. manage, change: docker_host_manage_engine and docker_host_change_engine.
    """
    merged = engine_options.merge(observation, options)
    if not manage or (observation["engine"]["installed"] and not change):
        merged.update(changes=[], problems=[], restart=False)
    return {**merged, "due": bool(merged["changes"])}


def problems(options: dict, observation: dict, manage: bool, wanted: dict) -> list[str]:
    """Sentences "subject: what; remedy" about docker_host_daemon_options, the Engine that is there and the filter.

    manage: docker_host_manage_engine. wanted: docker_host_firewall.
    """
    found = engine_options.option_problems(options) + engine_options.host_problems(observation, options)
    if options and not manage:
        found.append(
            "docker_host_daemon_options: docker_host_manage_engine is false, so nobody would set them; write them into "
            "the host's daemon.json yourself"
        )
    host = observation["host"]
    if wanted and host.get("uid"):
        found.append(
            "docker_host_firewall: the packet filter needs root on the host; connect as root or with ansible_become, "
            "or do without it: docker_host_firewall: {}, with the reason in stack_exceptions"
        )
    elif wanted and not manage and not host.get("nft", True):
        found.append("docker_host_firewall: nft is not on the host; install the package nftables")
    return found


def firewall_rules(wanted: dict, stack: str, networks: list[dict], observation: dict) -> str:
    """docker_host_firewall as text for nft; networks: items of docker_host_networks."""
    ids = {network["subnet"]: observation["networks"].get(network["name"], {}).get("id") for network in networks}
    bridges = {subnet: firewall.bridge(identifier) for subnet, identifier in ids.items() if identifier}
    own, servers = observation["host"].get("addresses") or [], observation["host"].get("nameservers") or []
    seen = {
        "bridges": list(bridges.values()),
        "inward": [name for subnet, name in bridges.items() if subnet in wanted.get("inward", [])],
        "nameservers": sorted({*own} & {*servers, *engine_options.nameservers(observation)}),
    }
    return firewall.rules(stack, wanted, [network["subnet"] for network in networks], MANAGED, seen)


def firewall_differs(rules: str, stack: str, observation: dict) -> bool:
    """Whether the file with the rules or the kernel's table is another one, or there is one without need."""
    paths = firewall.paths(stack)
    files, live = observation["files"], observation["host"].get("firewall", "")
    if not rules:
        return paths["rules"] in files or bool(live)
    wished = {"rules": rules, "applied": live}
    return not live or any(
        files.get(paths[name], {}).get("sha256") != hashlib.sha256(text.encode()).hexdigest()
        for name, text in wished.items()
    )


class FilterModule:
    """Networks and packet filter of a Docker host."""

    def filters(self):
        return {
            "docker_host_engine": engine,
            "docker_host_firewall_differs": firewall_differs,
            "docker_host_firewall_rules": firewall_rules,
            "docker_host_ipam": ipam,
            "docker_host_problems": problems,
            "docker_host_network_problems": network_problems,
        }
