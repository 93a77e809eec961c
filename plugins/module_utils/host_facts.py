# MIT License (see LICENSE)
"""Figures of this host that roles compute with, from what its kernel tells."""

from __future__ import annotations

import itertools
import os
import re
import shutil
import socket
import struct

from ansible_collections.broadcast.stack.plugins.module_utils import firewall

# Linux: enum TCP_LISTEN in include/net/tcp_states.h
TCP_LISTEN = "0A"


def listening(tables=("/proc/net/tcp", "/proc/net/tcp6")):
    """TCP sockets that listen, as sorted unique {address, port}."""
    sockets = set()
    for table in tables:
        try:
            with open(table) as stream:
                rows = [line.split() for line in stream.readlines()[1:]]
        except OSError:
            continue
        for row in rows:
            if row[3] != TCP_LISTEN:
                continue
            address, _sep, port = row[1].partition(":")
            words = [struct.pack("=I", int(address[i : i + 8], 16)) for i in range(0, len(address), 8)]
            family = socket.AF_INET if len(words) == 1 else socket.AF_INET6
            sockets.add((socket.inet_ntop(family, b"".join(words)), int(port, 16)))
    return [{"address": address, "port": port} for address, port in sorted(sockets)]


def routes(table="/proc/net/route"):
    """IPv4 networks of the main routing table, {interface, network}."""

    def address(word):
        return socket.inet_ntoa(struct.pack("=I", int(word, 16)))

    with open(table) as stream:
        rows = [line.split() for line in stream.readlines()[1:]]
    return [
        {"interface": row[0], "network": "%s/%d" % (address(row[1]), bin(int(row[7], 16)).count("1"))} for row in rows
    ]


def addresses(table="/proc/net/fib_trie"):
    """IPv4 addresses of the host itself, sorted; those of the loopback network are everybody's."""
    try:
        with open(table) as stream:
            lines = stream.read().split("\n")
    except OSError:
        return []
    found = {above.split()[-1] for above, line in itertools.pairwise(lines) if line.strip() == "/32 host LOCAL"}
    return sorted(address for address in found if not address.startswith("127."))


def nameservers(files=("/etc/resolv.conf", "/run/systemd/resolve/resolv.conf")):
    """The host's name servers, of which a local one is in the second file only."""
    found = set()
    for path in files:
        try:
            with open(path) as stream:
                found.update(re.findall(r"^nameserver\s+(\S+)", stream.read(), re.M))
        except OSError:
            continue
    return sorted(found)


def firewall_state(stack, directory=firewall.DIRECTORY):
    """Digest of the stack's table in the kernel. Who has no rules in a file has none: most hosts start no program."""
    return firewall.live(stack) if os.path.exists(firewall.paths(stack, directory)["rules"]) else ""


def memory_mb():
    with open("/proc/meminfo") as stream:
        return int(re.search(r"^MemTotal:\s+(\d+) kB", stream.read(), re.M).group(1)) // 1024


def free_mb(path):
    while not os.path.exists(path):
        path = os.path.dirname(path)
    return shutil.disk_usage(path).free // 2**20
