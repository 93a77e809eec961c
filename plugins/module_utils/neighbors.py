# MIT License (see LICENSE)
"""What the kernel remembers of the container that had an address before.

Docker gives the address of a container that ended to the next one. Where that one has another hardware address, as
those without a way out have, the kernel sends what is for it to the one that is gone, for up to a minute until it asks
again. An Engine from version 28 on announces each container itself; the older ones do not.
"""

from __future__ import annotations

import shutil
import subprocess

from ansible_collections.broadcast.stack.plugins.module_utils import firewall


def addresses(detail: dict) -> dict[str, str]:
    """Address to hardware address of a container, as docker inspect shows it."""
    found = {}
    for network in ((detail.get("NetworkSettings") or {}).get("Networks") or {}).values():
        for key in ("IPAddress", "GlobalIPv6Address"):
            if network.get(key) and network.get("MacAddress"):
                found[network[key]] = network["MacAddress"].lower()
    return found


def outdated(listing: str, known: dict[str, str]) -> list[tuple[str, str]]:
    """(address, interface) of entries with another hardware address than known. listing: ip neighbor show."""
    found = []
    for line in listing.splitlines():
        words = line.split()
        if words[0] in known and "lladdr" in words:
            hardware, interface = (words[words.index(key) + 1] for key in ("lladdr", "dev"))
            if hardware.lower() != known[words[0]]:
                found.append((words[0], interface))
    return found


def forget(detail: dict) -> None:
    """Have the kernel ask for the container's hardware addresses. Without ip or root's rights it does so later."""
    program, known = shutil.which("ip", path=firewall.SEARCH_PATH), addresses(detail)
    if not program or not known:
        return

    def run(*arguments: str) -> str:
        done = subprocess.run([program, *arguments], capture_output=True, text=True, timeout=30, check=False)
        return done.stdout

    for address, interface in outdated(run("neighbor", "show"), known):
        run("neighbor", "flush", "to", address, "dev", interface)
