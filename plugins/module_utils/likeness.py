# MIT License (see LICENSE)
"""What the Engine is asked to create a container that is like another one: pure functions of its inspection."""

from __future__ import annotations

from ansible_collections.broadcast.stack.plugins.module_utils import firewall

# What a container's process gets and is limited by; not how it is published, restarted or watched.
KEPT = (
    "Binds",
    "CapAdd",
    "CapDrop",
    "CpuPeriod",
    "CpuQuota",
    "CpuShares",
    "Dns",
    "ExtraHosts",
    "GroupAdd",
    "Init",
    "Memory",
    "MemorySwap",
    "Mounts",
    "NanoCpus",
    "PidsLimit",
    "ReadonlyRootfs",
    "SecurityOpt",
    "ShmSize",
    "Sysctls",
    "Tmpfs",
    "Ulimits",
)


def like(detail, name, labels, config=None, host_config=None):
    """Content of the Engine's request, and the networks to join beside the first; fixed addresses are not taken over.

    detail: the Engine's answer about the other container. name: of the new one. config, host_config: what is added or
    differs.
    """
    own, host = detail["Config"], detail["HostConfig"]
    joined = detail["NetworkSettings"].get("Networks") or {}
    # The copy of a container without a way out has none either, see the key inward of a specification.
    inward = [network for network, value in joined.items() if firewall.is_inward(value.get("MacAddress") or "")]
    networks = inward + sorted(set(joined) - set(inward))
    address = firewall.inward_address(name)
    content = {
        # The id, not the name: a name may stand for another image by now.
        "Image": detail["Image"],
        "Entrypoint": own.get("Entrypoint"),
        "Cmd": own.get("Cmd"),
        "Env": own.get("Env") or [],
        "User": own.get("User", ""),
        "WorkingDir": own.get("WorkingDir", ""),
        "Labels": labels,
        # An Engine reads the first of these, or the second before its API 1.44.
        **({"NetworkingConfig": {"EndpointsConfig": {networks[0]: {"MacAddress": address}}}} if inward else {}),
        **({"MacAddress": address} if inward else {}),
        **(config or {}),
        "HostConfig": {
            **{key: host[key] for key in KEPT if host.get(key) is not None},
            "NetworkMode": networks[0] if networks else "none",
            **(host_config or {}),
        },
    }
    return content, networks[1:]
