# MIT License (see LICENSE)
"""Packets to a container's published ports that a stand-in gets meanwhile: a chain of iptables of its own.

Docker translates the destination of a packet to a published port in its chain DOCKER. A chain that comes before it
sends new connections to another container; open ones stay where they are, for a connection is translated once.
"""

from __future__ import annotations

import hashlib
import re
import shutil
import subprocess

from ansible_collections.broadcast.stack.plugins.module_utils import firewall

# Where packets come from and what of them is looked at. What the host asks by way of its loopback interface is not.
JUMPS = {"PREROUTING": [], "OUTPUT": ["!", "-d", "127.0.0.0/8"]}
LOCAL = ["-m", "addrtype", "--dst-type", "LOCAL"]
WAIT = ["-w", "30"]
DESTINATION = re.compile(r"-p (?P<protocol>\w+) .*--dport (?P<port>\d+) .*--to-destination (?P<target>[0-9.]+:\d+)")


def container_name(name: str) -> str:
    return name + "-stand-in"


def chain(name: str) -> str:
    """Name of the chain; those of iptables have at most 28 characters."""
    return "stand-in-" + hashlib.sha256(name.encode()).hexdigest()[:12]


def published(ports: dict, loopback: bool = False) -> list[dict]:
    """{container_port, protocol, address (empty: all), port} of published IPv4 ports.

    ports: NetworkSettings.Ports of a running container. loopback: those of the loopback interface, else the others.
    """
    found = []
    for key, bindings in sorted((ports or {}).items()):
        number, _sep, protocol = key.partition("/")
        for binding in bindings or []:
            if ":" not in binding["HostIp"] and binding["HostIp"].startswith("127.") == loopback:
                found.append(
                    {
                        "container_port": int(number),
                        "protocol": protocol,
                        "address": "" if binding["HostIp"] == "0.0.0.0" else binding["HostIp"],
                        "port": int(binding["HostPort"]),
                    }
                )
    return found


def targets(listing: str) -> dict[tuple[str, int], str]:
    """(protocol, published port) to address:port of the container. listing: iptables -t nat -S of a chain."""
    matches = filter(None, map(DESTINATION.search, listing.splitlines()))
    return {(match["protocol"], int(match["port"])): match["target"] for match in matches}


def rules(name: str, ports: list[dict], own: list[dict], docker: dict, jumps: list[str]) -> str:
    """Text for iptables-restore that lets the stand-in have new connections.

    ports: published by the container (see published); own: by its stand-in; docker: targets of Docker's chain, which
    tell where a published port of the stand-in leads; jumps: keys of JUMPS that are missing. Raises KeyError for a
    port that Docker does not translate.
    """
    reached = {(entry["container_port"], entry["protocol"]): docker[entry["protocol"], entry["port"]] for entry in own}
    lines = ["*nat", ":%s - [0:0]" % chain(name)]
    for entry in ports:
        address = "-d %s " % entry["address"] if entry["address"] else ""
        target = reached[entry["container_port"], entry["protocol"]]
        lines.append(
            "-A %s %s-p %s -m %s --dport %d -j DNAT --to-destination %s"
            % (chain(name), address, entry["protocol"], entry["protocol"], entry["port"], target)
        )
    lines += ["-I %s 1 %s" % (hook, " ".join(jump(name, hook))) for hook in jumps]
    return "\n".join([*lines, "COMMIT", ""])


def jump(name: str, hook: str) -> list[str]:
    return [*JUMPS[hook], *LOCAL, "-j", chain(name)]


def iptables(*arguments: str, stdin: str | None = None, program: str = "iptables") -> subprocess.CompletedProcess:
    found = shutil.which(program, path=firewall.SEARCH_PATH)
    if not found:
        return subprocess.CompletedProcess(arguments, 127, "", "%s is not installed" % program)
    command = [found, *WAIT, *arguments]
    return subprocess.run(command, input=stdin, capture_output=True, text=True, timeout=60, check=False)


def missing_jumps(name: str) -> list[str]:
    return [hook for hook in JUMPS if iptables("-t", "nat", "-C", hook, *jump(name, hook)).returncode != 0]


def listed(name: str) -> dict[tuple[str, int], str]:
    """Targets of the chain with this name; empty when there is none."""
    done = iptables("-t", "nat", "-S", name)
    return targets(done.stdout) if done.returncode == 0 else {}


def lead_back(name: str) -> bool:
    """Remove the chain, so that Docker's own rules count again; whether there was one."""
    found = False
    for hook in JUMPS:
        while iptables("-t", "nat", "-D", hook, *jump(name, hook)).returncode == 0:
            found = True
    if iptables("-t", "nat", "-F", chain(name)).returncode == 0:
        found = True
        iptables("-t", "nat", "-X", chain(name))
    return found
