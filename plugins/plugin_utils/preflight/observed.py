# MIT License (see LICENSE)
"""A host as it was observed: can it run its part of the stack?"""

from __future__ import annotations

import dataclasses
import re
import typing as t

from ansible_collections.broadcast.stack.plugins.plugin_utils.failures import key_remedy, reason
from ansible_collections.broadcast.stack.plugins.plugin_utils.preflight.causes import written_as
from ansible_collections.broadcast.stack.plugins.plugin_utils.preflight.hosts import HostValues, Inventory
from ansible_collections.broadcast.stack.plugins.plugin_utils.preflight.networks import (
    network_problems,
    private_address_problems,
)
from ansible_collections.broadcast.stack.plugins.plugin_utils.preflight.problems import Problem, shown
from ansible_collections.broadcast.stack.plugins.plugin_utils.preflight.trees import leaves
from ansible_collections.broadcast.stack.plugins.plugin_utils.preflight.values import truthy
from ansible_collections.broadcast.stack.plugins.plugin_utils.services.register import GROUPS
from ansible_collections.broadcast.stack.plugins.plugin_utils.services.values import megabytes

MINIMUM_API_VERSION = (1, 41)
ENGINE_IS_BUSY = "it is busy or hangs: run again, or look at its log and restart it"


@dataclasses.dataclass(frozen=True)
class Port:
    """A port that a container is to publish on a host."""

    address: str
    port: int
    variable: str

    def meets(self, address: str, port: int) -> bool:
        wildcards = ("", "0.0.0.0", "::", "*")
        return self.port == port and (self.address in wildcards or address in wildcards or self.address == address)


def parsed_ports(published: t.Iterable[str], variable: str) -> list[Port]:
    """Ports of docker_container's published_ports: [[address:]host port[-end]:]container port[/protocol]; TCP only."""
    ports = []
    for text in map(str, published):
        rest, _slash, protocol = text.partition("/")
        if protocol not in ("", "tcp") or ":" not in rest:
            continue
        outside, _colon, _container = rest.rpartition(":")
        address, _colon, span = outside.rpartition(":")
        first, _dash, last = span.partition("-")
        if first.isdigit():
            ports += [Port(address.strip("[]"), port, variable) for port in range(int(first), int(last or first) + 1)]
    return ports


def failure(result: t.Mapping[str, t.Any]) -> str:
    """Why a task failed, in a report."""
    return shown(reason(result)).rstrip(".")


def observation_remedy(observation: t.Mapping[str, t.Any]) -> str:
    """What helps against the failure of an observation, which depends on who failed."""
    message = str(observation.get("msg", ""))
    written = "%s\n%s\n%s" % (message, observation.get("module_stderr", ""), observation.get("module_stdout", ""))
    if message.startswith("The Docker Engine"):
        if "timed out" in message:
            return ENGINE_IS_BUSY
        return "look at the log of its service: journalctl -u docker"
    if re.search(r"\b(sudo|su|doas)\b|become", written):
        return "give the user the right to become root there, or the password by --ask-become-pass"
    if "No space left" in written:
        return "free space on the host: a module needs some for its files"
    return "Python 3 and your user's rights on it are needed"


def observation_problems(observation: t.Any, spare: bool = False) -> list[Problem]:
    """Whether the host could be observed at all. spare: whether the others can do without it."""
    if not isinstance(observation, t.Mapping):
        return [Problem("", "was not observed", "see the error above")]
    if observation.get("unreachable"):
        text = "is unreachable: %s" % failure(observation)
        if command := key_remedy(observation):
            # By its fingerprint a new machine can be told from somebody who listens in between.
            return [Problem("", text, "when you know that it is a new machine or has new keys, `%s`" % command)]
        advice = "check ansible_host, the network and your SSH key, or take it out of the inventory"
        if spare:
            advice += "; -e stack_unreachable_hosts=leave_out goes on without it"
        return [Problem("", text, advice)]
    if observation.get("failed") or "host" not in observation:
        text = "could not be observed: %s" % failure(observation)
        return [Problem("", text, observation_remedy(observation))]
    return []


def shared_root_problems(observation: t.Mapping[str, t.Any], stack: str, root: str) -> list[Problem]:
    """Another stack's containers that have their files where ours are: what removes one would remove the other."""
    containers, files = observation.get("containers", {}), observation.get("files", {})
    found = sorted(
        {
            row["stack"]
            for name, row in containers.items()
            if row.get("stack") not in ("", None, stack)
            and any(path.startswith("%s/%s/" % (root.rstrip("/"), name)) for path in files)
        }
    )
    remedy = "give each stack a directory of its own, such as /opt/%s" % stack
    return [Problem("stack_root", "is the directory of the stack %s as well" % name, remedy) for name in found]


def engine_problems(engine: t.Mapping[str, t.Any]) -> list[Problem]:
    """A missing or stopped Engine is installed and started later; one that is too old or forbids us is not."""
    if "Permission denied" in str(engine.get("error", "")):
        remedy = "add the user to the group docker, log in again, or connect as root"
        return [Problem("Docker Engine", "its socket refuses this user", remedy)]
    if "timed out" in str(engine.get("error", "")):
        return [Problem("Docker Engine", "does not answer", ENGINE_IS_BUSY)]
    version = str(engine.get("api_version", "")) if engine.get("running") else ""
    if re.fullmatch(r"\d+\.\d+", version) and tuple(map(int, version.split("."))) < MINIMUM_API_VERSION:
        value = "API %s (%s)" % (version, engine.get("version", ""))
        return [Problem("Docker Engine", "too old", "upgrade to 20.10 (API 1.41) or later", value)]
    return []


def port_problems(ports: t.Sequence[Port], observation: t.Mapping[str, t.Any], stack: str) -> list[Problem]:
    """Ports we are to publish that something else has: another container, a process, or a second container of ours."""
    containers = observation.get("containers", {})
    ours = {port for row in containers.values() if row.get("stack") == stack for port in row.get("published", [])}
    problems = []
    for index, wanted in enumerate(ports):
        value = "%s:%d" % (wanted.address, wanted.port) if wanted.address else str(wanted.port)
        twice = [other for other in ports[:index] if other.meets(wanted.address, wanted.port)]
        if twice:
            text = "is published by %s as well" % twice[0].variable
            problems.append(Problem(wanted.variable, text, "give each a port of its own", value))
        if wanted.port in ours:
            continue
        foreign = sorted(
            name
            for name, row in containers.items()
            if row.get("stack") != stack and row.get("status") == "running" and wanted.port in row.get("published", [])
        )
        listening = [
            row for row in observation["host"].get("listening", []) if wanted.meets(row["address"], int(row["port"]))
        ]
        if foreign:
            text = "taken by the container %s" % foreign[0]
        elif listening:
            text = "taken by a process that listens on %s" % listening[0]["address"]
        else:
            continue
        problems.append(Problem(wanted.variable, text, "stop it or choose another port", value))
    return problems


def disk_problems(free_mb: int, minimum_mb: int) -> list[Problem]:
    if free_mb >= minimum_mb:
        return []
    text = "%d MiB free in Docker's directory, %d are needed" % (free_mb, minimum_mb)
    remedy = "free space (`docker system df` shows what takes it) or lower stack_docker_free_mb_min"
    return [Problem("disk", text, remedy)]


def clock_problems(epoch: float, earliest: float, latest: float, limit: float) -> list[Problem]:
    """The host's clock against the span of the controller's time in which it was read."""
    skew = min(epoch - earliest + limit, 0) or max(epoch - latest - limit, 0)
    if not skew:
        return []
    skew = epoch - (latest if skew > 0 else earliest)
    text = "%.0f s %s of the controller" % (abs(skew), "ahead" if skew > 0 else "behind")
    return [Problem("clock", text, "synchronise both by NTP: certificates and tokens depend on it")]


def memory_limits(value: t.Any, name: str) -> float:
    """Sum of the memory limits in a role's variables: x_memory, or memory within a dictionary of containers."""
    if isinstance(value, t.Mapping):
        return sum(memory_limits(item, str(key)) for key, item in value.items())
    return megabytes(value) if name == "memory" or name.endswith("_memory") else 0


def memory_problems(limits_mb: float, memory_mb: float) -> list[Problem]:
    if limits_mb <= memory_mb:
        return []
    text = "the containers' limits add up to %d MiB, the host has %d" % (limits_mb, memory_mb)
    return [Problem("memory", text, "lower them, or spread the groups over more hosts", warning=True)]


def ports(inventory: Inventory, host: HostValues, options: dict[str, dict]) -> list[Port]:
    """Ports that the containers of a host's roles publish."""
    ports = []
    for group, service in GROUPS.items():
        for name in service.ports if host.name in inventory.groups.get(group, []) else []:
            address = host.get(service.bind_address, options)
            port = host.get(name, options)
            if str(port).isdigit():
                ports.append(Port(str(address or ""), int(port), name))
    for name in inventory.role_options(host):
        for path, text in leaves(host.get(name, options), name):
            if re.search(r"published_ports\[\d+\]$", path):
                ports += parsed_ports([text], written_as(path.rpartition("[")[0], host.raw))
    return ports


def observed_problems(inventory: Inventory, host: HostValues, options: dict[str, dict]) -> list[Problem]:
    observation = host.raw.get("container_observation")
    problems = observation_problems(observation, spare=inventory.is_spare(host))
    if problems:
        return problems
    stack = host.get("stack_name", options)
    facts = observation["host"]
    problems += shared_root_problems(observation, stack, str(host.get("container_root", options) or ""))
    problems += engine_problems(observation["engine"])
    problems += port_problems(ports(inventory, host, options), observation, stack)
    problems += disk_problems(facts["docker_free_mb"], inventory.number(host, "stack_docker_free_mb_min"))
    skew = inventory.number(host, "stack_clock_skew_max_seconds")
    problems += clock_problems(facts["epoch"], *inventory.observed_between, skew)
    networks = host.get("docker_host_networks", options)
    if isinstance(networks, list):
        address = host.get("ansible_host", {})
        problems += network_problems(
            networks, observation.get("networks", {}), facts.get("routes", []), [address] if address else []
        )
    limits = sum(memory_limits(host.get(name, options), name) for name in inventory.role_options(host))
    problems += memory_problems(limits, facts["memory_mb"])
    return problems


def fleet_problems(inventory: Inventory, host: HostValues) -> list[Problem]:
    if not truthy(host.get("stack_fleet", inventory.specs.stack)) or host.name not in inventory.addresses:
        return []
    observation = host.raw.get("container_observation")
    facts = observation.get("host", {}) if isinstance(observation, dict) else {}
    others = {name: address for name, address in inventory.addresses.items() if name != host.name}
    address = str(inventory.addresses[host.name])
    found = private_address_problems(address, others, facts.get("addresses", []))
    return [dataclasses.replace(problem, about_host=True) for problem in found]


def left_out(inventory: Inventory, host: HostValues, options: dict[str, dict]) -> bool:
    """Whether the run goes on without a host that cannot be reached: only where others can do the same work."""
    return (
        bool((host.raw.get("container_observation") or {}).get("unreachable"))
        and host.get("stack_unreachable_hosts", options) == "leave_out"
        and inventory.is_spare(host)
    )
