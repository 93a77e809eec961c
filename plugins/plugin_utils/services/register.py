# MIT License (see LICENSE)
"""The register of services, meta/services.yml: the only place that says what the stack's services are."""

from __future__ import annotations

import pathlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import yaml

PATH = pathlib.Path(__file__).resolve().parents[3] / "meta" / "services.yml"


@dataclass(frozen=True)
class Service:
    """An entry of the register; meta/services.yml tells what each field means."""

    role: str
    group: str = ""
    on_hosts_of: tuple[str, ...] = ()
    required: bool = False
    advice: str = ""
    hosts_max: int = 0
    holds_data: bool = False
    foundation: bool = False
    fleet_only: bool = False
    slots: bool = False
    part_of_release: bool = False
    images: tuple[str, ...] = ()
    clients: tuple[str, ...] = ()
    gives: str = ""
    ports: tuple[str, ...] = ()
    bind_address: str = ""

    @property
    def groups(self) -> tuple[str, ...]:
        """Groups on whose hosts it runs; none for a service of all hosts."""
        return (self.group,) if self.group else self.on_hosts_of


def read(path: pathlib.Path) -> tuple[Service, ...]:
    entries = yaml.safe_load(path.read_text(encoding="utf-8"))
    return tuple(
        Service(role, **{key: tuple(value) if isinstance(value, list) else value for key, value in entry.items()})
        for role, entry in entries.items()
    )


SERVICES = read(PATH)
# Groups of the inventory, each with the service that makes it.
GROUPS: dict[str, Service] = {service.group: service for service in SERVICES if service.group}
# Groups whose hosts hold data that no other host has, and those whose hosts stand in for each other.
DATA_GROUPS = tuple(group for group, service in GROUPS.items() if service.holds_data)
SPARE_GROUPS = tuple(group for group in GROUPS if group not in DATA_GROUPS)
# Groups whose data other hosts use. It is closed to hosts that a release has left out.
USED_DATA_GROUPS = tuple(group for group in DATA_GROUPS if GROUPS[group].clients)


def roles(*properties: str) -> list[str]:
    """Roles of the services that have all of these properties."""
    return [one.role for one in SERVICES if all(getattr(one, name) for name in properties)]


def group_roles(group: str) -> list[str]:
    """Roles that run on a group's hosts and not on all."""
    return [service.role for service in SERVICES if group in service.groups]


def roles_everywhere() -> list[str]:
    return [service.role for service in SERVICES if not service.groups]


def group_images(group: str) -> set[str]:
    """Images that the services of a group's hosts run."""
    return {image for service in SERVICES if group in service.groups for image in service.images}


def members(groups: Mapping[str, Sequence[str]], chosen: Sequence[str] = tuple(GROUPS)) -> list[str]:
    """Hosts of the chosen groups, each once. groups: those of the inventory, with their hosts."""
    return list(dict.fromkeys(host for group in chosen for host in groups.get(group) or []))


def service_hosts(
    groups: Mapping[str, Sequence[str]], hosts: Sequence[str], fleet: bool, application: bool = False
) -> dict[str, list[str]]:
    """Role to those of the hosts that it runs on. application: only of services that a release starts or switches."""
    found = {}
    for service in SERVICES:
        if application and not (service.part_of_release and service.groups):
            continue
        on_hosts = members(groups, service.groups) if service.groups else hosts
        found[service.role] = [host for host in on_hosts if host in hosts and (fleet or not service.fleet_only)]
    return found


def stack_members(groups: Mapping[str, Sequence[str]], used_data: bool = False) -> list[str]:
    """All hosts of the stack, or those whose data other hosts use."""
    return members(groups, USED_DATA_GROUPS if used_data else tuple(GROUPS))


def stack_pattern(groups: Mapping[str, Sequence[str]], used_data: bool = False) -> str:
    """
    The same hosts as a pattern for a play. Groups that the inventory does not have are no part of it, since Ansible
    would warn of each in each play.
    """
    chosen = USED_DATA_GROUPS if used_data else tuple(GROUPS)
    return ":".join([group for group in chosen if group in groups] or chosen)
