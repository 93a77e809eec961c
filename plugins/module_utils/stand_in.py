# MIT License (see LICENSE)
"""Packets to a container's published ports that a stand-in gets meanwhile: a chain of iptables of its own.

Docker translates the destination of a packet to a published port in its chain DOCKER. A chain that comes before it
sends new connections to another container; open ones stay where they are, for a connection is translated once.

When a container ends, Docker has the kernel forget the connections to it, and means each by its client's address and
port. A client that has used the same port again in the last two minutes then loses a live connection to the successor:
if the server sends next, its packet is taken for the first of a new connection, leaves with another port and is refused
by the client, which waits for ever. A second chain gives such packets the published port, and the connection goes on.
"""

from __future__ import annotations

import hashlib
import re
import shutil
import subprocess

from ansible_collections.broadcast.stack.plugins.module_utils import firewall

LOCAL = ["-m", "addrtype", "--dst-type", "LOCAL"]
# Where packets come from, and which of them the rules look at. Requests of the host on its loopback interface are not
# looked at.
JUMPS = {"PREROUTING": LOCAL, "OUTPUT": ["!", "-d", "127.0.0.0/8", *LOCAL]}
# Where answers of forgotten connections leave.
ANSWERS = {"POSTROUTING": []}
WAIT = ["-w", "30"]
DESTINATION = re.compile(r"-p (?P<protocol>\w+) .*--dport (?P<port>\d+) .*--to-destination (?P<target>[0-9.]+:\d+)")


def container_name(name: str) -> str:
    return name + "-stand-in"


def chain(name: str) -> str:
    """Name of the chain; those of iptables have at most 28 characters."""
    return "stand-in-" + hashlib.sha256(name.encode()).hexdigest()[:12]


def answers_chain(name: str) -> str:
    return chain(name) + "-back"


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


def reached(ports: list[dict], docker: dict) -> dict[tuple[int, str], str]:
    """(container port, protocol) to address:port of the container. ports, docker: see rules. Raises KeyError."""
    return {(entry["container_port"], entry["protocol"]): docker[entry["protocol"], entry["port"]] for entry in ports}


def rules(name: str, ports: list[dict], own: list[dict], docker: dict, jumps: list[str]) -> str:
    """Text for iptables-restore that lets the stand-in have new connections.

    ports: published by the container (see published); own: by its stand-in; docker: targets of Docker's chain, which
    tell where a published port of the stand-in leads; jumps: keys of JUMPS and ANSWERS that are missing. Raises
    KeyError for a port that Docker does not translate.
    """
    copy = reached(own, docker)
    lines = ["*nat", ":%s - [0:0]" % chain(name), ":%s - [0:0]" % answers_chain(name)]
    for entry in ports:
        address = "-d %s " % entry["address"] if entry["address"] else ""
        target = copy[entry["container_port"], entry["protocol"]]
        lines.append(
            "-A %s %s-p %s -m %s --dport %d -j DNAT --to-destination %s"
            % (chain(name), address, entry["protocol"], entry["protocol"], entry["port"], target)
        )
    lines += answers(name, ports, copy)
    lines += ["-I %s 1 %s" % (hook, " ".join(jump(name, hook))) for hook in jumps]
    return "\n".join([*lines, "COMMIT", ""])


def rules_of_the_end(name: str, ports: list[dict], docker: dict) -> str:
    """Text for iptables-restore, before the stand-in ends: connections that it forgets go on at the container.

    ports: published by the container; docker: targets of Docker's chain. Raises KeyError as rules does.
    """
    return "\n".join(["*nat", *answers(name, ports, reached(ports, docker)), "COMMIT", ""])


def answers(name: str, ports: list[dict], targets_of: dict) -> list[str]:
    """Rules that give answers of a container the published address and port; targets_of: see reached."""
    lines = []
    for entry in ports:
        address, _sep, port = targets_of[entry["container_port"], entry["protocol"]].partition(":")
        source = "SNAT --to-source %(address)s:%(port)d" if entry["address"] else "MASQUERADE --to-ports %(port)d"
        lines.append(
            "-A %s -s %s -p %s -m %s --sport %s -j %s"
            % (answers_chain(name), address, entry["protocol"], entry["protocol"], port, source % entry)
        )
    return lines


def jump(name: str, hook: str) -> list[str]:
    return [*ANSWERS[hook], "-j", answers_chain(name)] if hook in ANSWERS else [*JUMPS[hook], "-j", chain(name)]


def iptables(*arguments: str, stdin: str | None = None, program: str = "iptables") -> subprocess.CompletedProcess:
    found = shutil.which(program, path=firewall.SEARCH_PATH)
    if not found:
        return subprocess.CompletedProcess(arguments, 127, "", "%s is not installed" % program)
    command = [found, *WAIT, *arguments]
    return subprocess.run(command, input=stdin, capture_output=True, text=True, timeout=60, check=False)


def restore(text: str) -> str:
    """Let the kernel have rules beside those that are there; what went wrong, or nothing."""
    done = iptables("--noflush", stdin=text, program="iptables-restore")
    return "" if done.returncode == 0 else done.stderr.strip()


def missing_jumps(name: str) -> list[str]:
    return [hook for hook in (*JUMPS, *ANSWERS) if iptables("-t", "nat", "-C", hook, *jump(name, hook)).returncode != 0]


def listed(name: str) -> dict[tuple[str, int], str]:
    """Targets of the chain with this name; empty when there is none."""
    done = iptables("-t", "nat", "-S", name)
    return targets(done.stdout) if done.returncode == 0 else {}


def lead_back(name: str) -> bool:
    """Remove the chain, so that Docker's own rules count again; whether there was one."""
    return removed(name, JUMPS, chain(name))


def forget_answers(name: str) -> bool:
    """Remove the chain of answers, when the stand-in has ended; whether there was one."""
    return removed(name, ANSWERS, answers_chain(name))


def removed(name: str, hooks: dict, own: str) -> bool:
    found = False
    for hook in hooks:
        while iptables("-t", "nat", "-D", hook, *jump(name, hook)).returncode == 0:
            found = True
    if iptables("-t", "nat", "-F", own).returncode == 0:
        found = True
        iptables("-t", "nat", "-X", own)
    return found
