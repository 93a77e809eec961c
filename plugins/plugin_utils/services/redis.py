# MIT License (see LICENSE)
"""
Instances of Redis, one container each.

The role redis and, through the role's problems, preflight call this: what an inventory says is completed with defaults,
judged, and becomes specifications for the role container.
"""

from __future__ import annotations

import dataclasses
import hashlib
import math
import re
import string
import typing as t

from ansible_collections.broadcast.stack.plugins.filter.size import size_bytes
from ansible_collections.broadcast.stack.plugins.plugin_utils.services.values import is_size

Settings = t.Mapping[str, t.Any]
NAME = re.compile(r"[a-z][a-z0-9-]*")
COMMAND = re.compile(r"[a-z][a-z0-9|-]*")
# Memory of the server itself, in MiB.
SERVER_MB = 64
# The server replays its append-only file as the user default, and drops every transaction that this user may not do. So
# default has all rights, and nobody can log in as default: it is off and has no password. The user health needs no
# password and may only ask whether the server lives and how full it is. The user app may use all data, but neither
# reconfigure nor inspect the server. It may call INFO: that reads counters only, and client libraries ask it for
# version and load.
USERS = """\
user default off resetpass allkeys allchannels +@all
user health on nopass resetkeys resetchannels -@all +ping +info
user app on #{password} allkeys allchannels {rights}
"""
RIGHTS = ("+@all", "-@dangerous", "+info")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Instance:
    """A server with memory and rules of its own."""

    name: str
    maxmemory: str = "256mb"
    maxmemory_policy: str = "noeviction"
    appendonly: bool = True
    password: str = ""
    # What the user app may do beside the harmless.
    commands: t.Sequence[str] = ()
    published_ports: t.Sequence[str] = ()
    memory: str = ""

    @classmethod
    def read(cls, name: str, settings: Settings | None) -> Instance:
        """From what an inventory says. Keys without a meaning are refused by the role's first task."""
        known = {field.name for field in dataclasses.fields(cls)}
        return cls(**{key: value for key, value in (settings or {}).items() if key in known} | {"name": name})

    def faults(self) -> t.Iterator[str]:
        if not NAME.fullmatch(str(self.name)):
            yield "the name may hold lower-case letters, digits and dashes, and begins with a letter"
        if not is_size(self.maxmemory):
            yield f"maxmemory {self.maxmemory} is not a size; write for example 256mb"
        if not all(COMMAND.fullmatch(str(command)) for command in self.commands):
            yield f"commands {', '.join(map(str, self.commands))} are no commands; write for example keys"
        if self.memory and not is_size(self.memory):
            yield f"memory {self.memory} is not a size; write for example 512m"

    @property
    def memory_limit(self) -> str:
        """
        To rewrite the append-only file the server forks, and in the worst case every page is copied meanwhile. Without
        such a file only fragmentation and client buffers come on top of the data.
        """
        if self.memory:
            return self.memory
        return f"{math.ceil(SERVER_MB + size_bytes(self.maxmemory, 'm') * (2 if self.appendonly else 1.25))}m"

    @property
    def users(self) -> str:
        """The file of users. It holds the password's digest, and the server knows no more."""
        # Django's cache clears itself. That is allowed only on an instance that evicts, where lost keys are normal.
        flush = ["+flushdb"] if self.maxmemory_policy != "noeviction" else []
        rights = [*RIGHTS, *flush, *(f"+{command}" for command in self.commands)]
        return USERS.format(password=hashlib.sha256(str(self.password).encode()).hexdigest(), rights=" ".join(rights))

    def configuration(self, template: str) -> str:
        return string.Template(template).substitute(
            appendonly="yes" if self.appendonly else "no",
            maxmemory=size_bytes(self.maxmemory),
            policy=self.maxmemory_policy,
        )


@dataclasses.dataclass(frozen=True, kw_only=True)
class Redis:
    """All instances of a host."""

    container_prefix: str
    instances: tuple[Instance, ...] = ()
    # Instance to its address in the first network.
    addresses: Settings = dataclasses.field(default_factory=dict)
    networks: t.Sequence[Settings] = ()

    @classmethod
    def read(cls, said: Settings) -> Redis:
        """From what an inventory says."""
        instances = tuple(Instance.read(name, one) for name, one in (said["instances"] or {}).items())
        return cls(**{**said, "instances": instances})

    def problems(self) -> list[str]:
        """What is wrong, in sentences that begin with the variable."""
        return [f"redis_instances.{one.name}: {fault}" for one in self.instances for fault in one.faults()]

    def containers(self, fixed: Settings, configuration: str) -> list[dict[str, t.Any]]:
        """Specifications. fixed: what all have. configuration: their file, with $names for what differs."""
        return [{**fixed, **self.container(one, configuration)} for one in self.instances]

    def container(self, one: Instance, configuration: str) -> dict[str, t.Any]:
        name, address = f"{self.container_prefix}-{one.name}", self.addresses.get(one.name)
        networks = list(self.networks)
        if networks and address:
            networks[0] = {**networks[0], "ipv4_address": address}
        return {
            "name": name,
            "files": {"redis.conf": one.configuration(configuration)},
            "secrets": {"users.acl": one.users},
            "networks": networks,
            "published_ports": one.published_ports,
            "volumes": [f"{name}:/var/lib/redis"] if one.appendonly else [],
            # Nothing is written to this directory. The memory is for the data.
            "tmpfs": [] if one.appendonly else ["/var/lib/redis:size=1m"],
            "memory": one.memory_limit,
            "stateful": one.appendonly,
        }
