# MIT License (see LICENSE)
"""Which containers were observed, and where."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any


def observations(hostvars: Mapping[str, Any], hosts: Iterable[str]) -> dict[str, Mapping[str, Any]]:
    """Host to its observation, of the hosts that were observed; also to what stood instead of one."""
    return {
        host: hostvars[host]["container_observation"] for host in hosts if "container_observation" in hostvars[host]
    }


def names(observation: Mapping[str, Any], stack: str, roles: Iterable[str] = (), running: bool = False) -> list[str]:
    """Sorted names of a stack's containers on a host, of all roles unless some are named."""
    chosen = set(roles)
    return sorted(
        name
        for name, container in observation.get("containers", {}).items()
        if container["stack"] == stack
        and (not chosen or container["role"] in chosen)
        and (not running or container["status"] == "running")
    )
