# MIT License (see LICENSE)
"""
What a value must be that preflight judges before a host is touched, and a role when it is used.

One judge for each kind of value, since two come to see one value differently. Roles ask by tests, those of
plugins/test/values.py, and by the filter server_name_problems.
"""

from __future__ import annotations

import ipaddress
import re
import typing as t

from ansible_collections.broadcast.stack.plugins.plugin_utils.services.cron import CronError, Schedule

# Part of a container's name, and so of a host name: of a pool, a command on a timer, a process.
CONTAINER_NAME = re.compile(r"[a-z]([a-z0-9-]*[a-z0-9])?")
# Always binary: Redis reads 1m as 10**6 and 1mb as 2**20, Docker reads both as 2**20, Celery counts KiB.
SIZE = re.compile(r"(?P<number>\d+(?:\.\d+)?)\s*(?P<unit>[kmgt]?)(?:i?b)?", re.IGNORECASE)
POWERS = {"": 0, "k": 1, "m": 2, "g": 3, "t": 4}
# A container with less does not start.
LEAST_MEMORY_MB = 16
DOMAIN_LABEL = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
CHARACTERS = "use lower-case letters, digits, hyphens and dots"


def is_container_name(value: t.Any) -> bool:
    return isinstance(value, str) and CONTAINER_NAME.fullmatch(value) is not None


def is_schedule(value: t.Any) -> bool:
    """Times of cron in UTC, as the programs read them that keep time inside containers."""
    try:
        return bool(Schedule(str(value)))
    except CronError:
        return False


def size(value: t.Any) -> float | None:
    """Bytes of a size as people write it, such as 256m, 1.5 GB or 64MiB; None for what is none."""
    match = None if isinstance(value, bool) else SIZE.fullmatch(str(value).strip())
    return float(match["number"]) * 1024 ** POWERS[match["unit"].lower()] if match else None


def is_size(value: t.Any) -> bool:
    return size(value) is not None


def megabytes(value: t.Any) -> float:
    """MiB of a size; 0 for what is none."""
    return (size(value) or 0) / 2**20


def is_container_memory(value: t.Any) -> bool:
    return megabytes(value) >= LEAST_MEMORY_MB


def is_positive_size(value: t.Any) -> bool:
    return megabytes(value) > 0


def is_address(value: t.Any) -> bool:
    """An address or a network."""
    try:
        return bool(ipaddress.ip_network(str(value), strict=False))
    except ValueError:
        return False


def host_name_fault(value: t.Any) -> tuple[str, str] | None:
    """Why a value is neither the name of a host nor its address, and what to do."""
    name = str(value)
    if "://" in name or "/" in name:
        return "is a URL", "give the host name alone"
    if "*" in name or name.startswith("."):
        return "is a wildcard", "name every host: Django and the certificate check them one by one"
    if re.search(r":\d*$", name) and name.count(":") == 1:
        return "has a port", "give the host name alone"
    if not name.isascii():
        try:
            encoded = name.lower().encode("idna").decode()
        except UnicodeError:
            return "is no host name", CHARACTERS
        return "has letters beyond ASCII", "write it as %s" % encoded
    if is_address(name):
        return None
    if len(name) > 253 or not all(map(DOMAIN_LABEL.fullmatch, name.split("."))):
        return "is no host name", CHARACTERS
    return None


def server_name_fault(value: t.Any) -> tuple[str, str] | None:
    """The same for a name that clients and certificates know a server by, where an address does not serve."""
    if is_address(value):
        return "is an address", "give a host name: certificates are for names (backend_health_host may be an address)"
    fault = host_name_fault(value)
    # Programs take 10.1 for an address as well.
    if not fault and not re.search("[a-z][^.]*$", str(value)):
        return "is no host name", "end it in a label that has a letter"
    return fault
