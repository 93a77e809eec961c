# MIT License (see LICENSE)
"""What the Engine is asked to create a container that is like another one: pure functions of its inspection."""

from __future__ import annotations

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


def like(detail, labels, config=None, host_config=None):
    """Content of the Engine's request, and the networks to join beside the first; fixed addresses are not taken over.

    detail: the Engine's answer about the other container. config, host_config: what is added or differs.
    """
    own, host = detail["Config"], detail["HostConfig"]
    networks = sorted(detail["NetworkSettings"].get("Networks") or {})
    content = {
        # The id, not the name: a name may stand for another image by now.
        "Image": detail["Image"],
        "Entrypoint": own.get("Entrypoint"),
        "Cmd": own.get("Cmd"),
        "Env": own.get("Env") or [],
        "User": own.get("User", ""),
        "WorkingDir": own.get("WorkingDir", ""),
        "Labels": labels,
        **(config or {}),
        "HostConfig": {
            **{key: host[key] for key in KEPT if host.get(key) is not None},
            "NetworkMode": networks[0] if networks else "none",
            **(host_config or {}),
        },
    }
    return content, networks[1:]
