# MIT License (see LICENSE)
"""Options of docker_container for a specification, and the checksum that tells whether they are another one's."""

from __future__ import annotations

import re

from ansible.module_utils.common.text.formatters import human_to_bytes
from ansible_collections.broadcast.stack.plugins.module_utils import firewall
from ansible_collections.broadcast.stack.plugins.plugin_utils.containers.loading import digest_of, split_contents
from ansible_collections.broadcast.stack.plugins.plugin_utils.containers.rendering import (
    SECRET_ENV_FILE,
    SECRETS_MOUNT,
    environment_file,
    mounts,
)
from ansible_collections.broadcast.stack.plugins.plugin_utils.containers.specification import (
    SpecificationError,
    check_exceptions,
    normalise,
    owner,
)
from ansible_collections.broadcast.stack.plugins.plugin_utils.services import values

# Health checks of the roles are half a minute apart: each starts a process, and a small host runs ten containers and
# more. While a container starts, an Engine that can do so checks it every second. Other Engines check it every ten
# seconds at all times.
START_INTERVAL_API = (1, 44)
# An Engine before this version takes one hardware address, for the first network.
HARDWARE_ADDRESS_API = (1, 44)
START_INTERVAL = "1s"
INTERVAL = "30s"
INTERVAL_WITHOUT_START_INTERVAL = "10s"
# Keys of a specification that the runner itself turns into something else; all others are docker_container options.
OWN_KEYS = (
    "files",
    "secrets",
    "env_secrets",
    "env",
    "exceptions",
    "exclusive",
    "healthy_wait_timeout",
    "reload",
    "stand_in",
    "stateful",
    "volume_access",
)
SIZES = ("memory", "shm_size")
SECRET_ENV_COMMAND = ["sh", "-c", '. %s/%s; exec "$@"' % (SECRETS_MOUNT, SECRET_ENV_FILE), "sh"]


def trailing_blanks(env: dict[str, object]) -> dict[str, str]:
    """Variables that are handed over beside the env file, whose reader takes blanks from the ends of lines."""
    return {key: text for key, value in env.items() if (text := str(value)) != text.rstrip()}


def checksum(spec: dict, arguments: dict, managed: str) -> str:
    """sha256 over everything that makes the container: options, env, files and secrets, but what it can reload."""
    fixed, _loaded = split_contents(spec)
    return digest_of(
        {
            "arguments": arguments,
            "env": environment_file(spec["name"], spec.get("env") or {}, managed),
            "files": fixed["config"],
            "secrets": fixed["secrets"],
        }
    )


def with_own_access(volume: str, spec: dict, user_override: str) -> str:
    """A volume whose owner and mode are ours to decide, not those of the image's directory at its mount point."""
    name, target, *options = volume.split(":")
    if name not in (spec.get("volume_access") or {}) or user_override:
        return volume
    return "%s:%s:%s" % (name, target, ",".join([*options, "nocopy"]))


def with_sizes(tmpfs: list[str], memory: str) -> list[str]:
    """Memory file systems, each with a size: those without one share half of the container's memory.

    Whoever fills one is told that it is full. Without a size the kernel kills the container's process.
    """
    open_ended = [text for text in tmpfs if not re.search(r"[:,]size=", text)]
    size = human_to_bytes(memory) // 2 // max(len(open_ended), 1)
    return [text + (",size=%d" if ":" in text else ":size=%d") % size if text in open_ended else text for text in tmpfs]


def readable_size(value: object, where: str) -> str:
    """
    A size as docker_container reads it, which knows neither 512mb nor 512MiB. A spelling that it reads stays: it is
    part of the checksum.
    """
    try:
        human_to_bytes(value)
    except ValueError:
        amount = values.size(value)
        if amount is None:
            raise SpecificationError("%s: %r is not a size; write for example 512m" % (where, value)) from None
        return "%d" % amount
    return str(value)


def arguments(spec: dict, policy: dict, root: str, user_override: str) -> dict:
    """Options of docker_container: the policy, then the specification, then the mounts of the rendered directories."""
    spec = normalise(spec)
    check_exceptions(spec)
    uid, gid = owner(spec, user_override)
    volumes = [with_own_access(text, spec, user_override) for text in spec.get("volumes") or []] + mounts(spec, root)
    options = {key: value for key, value in spec.items() if key not in OWN_KEYS}
    if spec.get("env_secrets"):
        if not spec.get("command"):
            raise SpecificationError("%s: env_secrets needs a command that gets the variables" % spec["name"])
        options["command"] = SECRET_ENV_COMMAND + list(spec["command"])
    result = {**policy, **options, "user": "%d:%d" % (uid, gid), "volumes": volumes}
    for key in SIZES:
        if result.get(key):
            result[key] = readable_size(result[key], "%s: %s" % (spec["name"], key))
    # The option is left out: the module would hand a 0 on to the Engine.
    if not result.get("cpus"):
        result.pop("cpus", None)
    if kept := trailing_blanks(spec.get("env") or {}):
        result["env"] = kept
    if result.get("networks"):
        result["networks"] = with_hardware_addresses(spec["name"], result["networks"])
    if result.get("tmpfs"):
        result["tmpfs"] = with_sizes(result["tmpfs"], result["memory"])
    # Without a swap limit of its own a container may swap twice its memory.
    result.setdefault("memory_swap", result["memory"])
    return result


def with_hardware_addresses(name: str, networks: list[dict]) -> list[dict]:
    """Networks with the address by which the packet filter knows a container that has no way out."""
    found = []
    for index, network in enumerate(networks):
        network = dict(network)
        if network.pop("inward", False):
            if index:
                raise SpecificationError("%s: only the first of its networks can be inward" % name)
            network["mac_address"] = firewall.inward_address(name)
        found.append(network)
    return found


def with_start_interval(options: dict, api_version: str) -> dict:
    """Options whose health check soon sees that a container has started.

    Not part of the checksum: a newer Engine is no reason to replace a container.
    """
    check = options["healthcheck"]
    if "start_period" not in check:
        return options
    if parsed_version(api_version) >= START_INTERVAL_API:
        return {**options, "healthcheck": {**check, "start_interval": START_INTERVAL}}
    if check.get("interval") == INTERVAL:
        return {**options, "healthcheck": {**check, "interval": INTERVAL_WITHOUT_START_INTERVAL}}
    return options


def for_engine(options: dict, api_version: str) -> dict:
    """Options as an Engine takes them that knows this version of its interface; as above, no reason to replace."""
    networks = options.get("networks") or []
    if not any("mac_address" in network for network in networks) or parsed_version(api_version) >= HARDWARE_ADDRESS_API:
        return options
    first = dict(networks[0])
    return {**options, "mac_address": first.pop("mac_address"), "networks": [first, *networks[1:]]}


def parsed_version(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.split("."))
