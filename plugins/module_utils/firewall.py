# MIT License (see LICENSE)
"""The packet filter of a stack: an nftables table of its own, which Docker neither knows nor touches."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess

DIRECTORY = "/etc/broadcast.stack"
SEARCH_PATH = "/usr/sbin:/sbin:/usr/bin:/bin"


def table_name(stack: str) -> str:
    return "broadcast_" + stack.replace("-", "_")


def paths(stack: str, directory: str = DIRECTORY) -> dict[str, str]:
    """Files of a stack: rules, which a host loads when it starts, and applied, a digest of what became of them."""
    base = os.path.join(directory, stack)
    return {"rules": base + ".nft", "applied": base + ".applied"}


def digest(listing: str) -> str:
    return hashlib.sha256(listing.encode()).hexdigest() if listing.strip() else ""


def nft(*arguments: str, stdin: str | None = None) -> subprocess.CompletedProcess:
    program = shutil.which("nft", path=SEARCH_PATH)
    if not program:
        return subprocess.CompletedProcess(arguments, 127, "", "nft is not installed")
    return subprocess.run([program, *arguments], input=stdin, capture_output=True, text=True, timeout=30, check=False)


def live(stack: str) -> str:
    """Digest of the table as the kernel has it; empty without one, or for a user who may not look."""
    done = nft("--stateless", "list", "table", "inet", table_name(stack))
    return digest(done.stdout) if done.returncode == 0 else ""


def elements(items: list) -> str:
    return "{ %s }" % ", ".join(map(str, items))


def rules(stack: str, wanted: dict, subnets: list[str], managed: str) -> str:
    """Text for nft that replaces the table in one step; empty when nothing is wanted.

    wanted: docker_host_firewall: address, ports (port, protocol, sources), peers (addresses) and peer_ports.
    subnets: of the stack's containers on this host.
    """
    if not wanted:
        return ""
    table, address = table_name(stack), wanted["address"]
    inside = elements(subnets)
    lines = [
        "# " + managed,
        "table inet %s" % table,
        "delete table inet %s" % table,
        "table inet %s {" % table,
        "    chain forward {",
        # Before Docker's own chains; what is accepted here still passes those.
        "        type filter hook forward priority filter - 10; policy accept;",
        "",
        "        # What a connection was opened to, before Docker translated it; open ones are judged again and again.",
    ]
    for entry in wanted.get("ports") or []:
        match = "ct original ip daddr %s meta l4proto %s ct original proto-dst %d" % (
            address,
            entry.get("protocol") or "tcp",
            int(entry["port"]),
        )
        sources = elements([*subnets, *(entry.get("sources") or [])])
        lines.append("        %s ct original ip saddr != %s drop" % (match, sources))
    lines += [
        "",
        "        # Containers are reached by published ports or not at all.",
        "        ct original ip daddr %s ct original ip saddr != %s drop" % (inside, inside),
    ]
    if wanted.get("peers") and wanted.get("peer_ports"):
        lines += [
            "",
            "        # Other containers of this host would come to a peer with the host's address, which may.",
            "        ip daddr %s tcp dport %s ct original ip saddr != %s drop"
            % (elements(wanted["peers"]), elements(wanted["peer_ports"]), inside),
        ]
    lines += ["    }", "}", ""]
    return "\n".join(lines)
