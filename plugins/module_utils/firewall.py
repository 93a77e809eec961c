# MIT License (see LICENSE)
"""The packet filter of a stack: an nftables table of its own, which Docker neither knows nor touches."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess

DIRECTORY = "/etc/broadcast.stack"
SEARCH_PATH = "/usr/sbin:/sbin:/usr/bin:/bin"
# The link-local addresses, where nearly all clouds have their metadata service, and the addresses of Alibaba, of
# Oracle's first instances, and of Azure.
METADATA = ["169.254.0.0/16", "100.100.100.200", "192.0.0.192", "168.63.129.16"]
# The addresses of Amazon and Google.
METADATA_6 = ["fe80::/10", "fd00:ec2::/32", "fd20:ce::/32"]
REFUSE = "reject with icmpx admin-prohibited"
# First half of the hardware addresses of containers that share a network with others but not its way out. Only root of
# the host, or CAP_NET_ADMIN, can change them. The Engine gives none of these itself: its own begin with 02.
INWARD = "0a:b5:7a"


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


def inward_address(name: str) -> str:
    """Hardware address of the container with this name, by which the filter knows that it has no way out."""
    digest = hashlib.sha256(name.encode()).hexdigest()
    return ":".join([INWARD, digest[:2], digest[2:4], digest[4:6]])


def is_inward(address: str) -> bool:
    return address.lower().startswith(INWARD + ":")


def elements(items: list) -> str:
    return "{ %s }" % ", ".join(map(str, items))


def bridge(identifier: str) -> str:
    """Docker's name of the host's interface in a network with this id."""
    return "br-" + identifier[:12]


def rules(stack: str, wanted: dict, subnets: list[str], managed: str, seen: dict | None = None) -> str:
    """Text for nft that replaces the table in one step; empty when nothing is wanted, or nothing is there.

    wanted: docker_host_firewall. subnets: of the stack's containers on this host. seen: {bridges, inward, nameservers},
    the interfaces of their networks, of those without a way out, and those of the host's own addresses that are its
    name servers.
    """
    if not wanted or not subnets:
        return ""
    table, seen = table_name(stack), seen or {}
    chains = {
        "forward": [*allowed(wanted, subnets, seen), *reached(wanted, subnets, seen), *ways_out(wanted, subnets, seen)],
        "input": [*allowed(wanted, subnets, seen), *host(wanted, subnets, seen)],
    }
    lines = ["# " + managed, "table inet %s" % table, "delete table inet %s" % table, "table inet %s {" % table]
    for hook, texts in chains.items():
        lines += [
            "    chain %s {" % hook,
            # This chain comes before Docker's own. Packets that it accepts still pass Docker's.
            "        type filter hook %s priority filter - 10; policy accept;" % hook,
            *("        %s" % text if text else "" for text in texts),
            "    }",
        ]
    return "\n".join([*lines, "}", ""])


def allowed(wanted: dict, subnets: list[str], seen: dict) -> list[str]:
    """Connections that the inventory asks for, whatever the other rules say."""
    lines = []
    for entry in wanted.get("allow") or []:
        ports = " tcp dport %s" % elements(entry["ports"]) if entry.get("ports") else ""
        if ":" not in entry["address"]:
            lines.append("ip saddr %s ip daddr %s%s accept" % (elements(subnets), entry["address"], ports))
        elif seen.get("bridges"):
            names = elements(quoted(seen["bridges"]))
            lines.append("iifname %s ip6 daddr %s%s accept" % (names, entry["address"], ports))
    return ["", "# Asked for by the inventory.", *lines] if lines else []


def reached(wanted: dict, subnets: list[str], seen: dict) -> list[str]:
    """Who reaches containers of the stack, and the stack's other hosts."""
    inside, address = elements(subnets), wanted.get("address")
    # The address that a connection was opened to, before Docker translated it. Open connections are judged again and
    # again.
    lines = ["", "# Who may use a published port."] if wanted.get("ports") else []
    for entry in wanted.get("ports") or []:
        match = "ct original ip daddr %s meta l4proto %s ct original proto-dst %d" % (
            address,
            entry.get("protocol") or "tcp",
            int(entry["port"]),
        )
        sources = elements([*subnets, *(entry.get("sources") or [])])
        lines.append("%s ct original ip saddr != %s drop" % (match, sources))
    lines += [
        "",
        "# Containers are reached by published ports or not at all.",
        "ct original ip daddr %s ct original ip saddr != %s drop" % (inside, inside),
    ]
    if seen.get("bridges"):
        names = elements(quoted(seen["bridges"]))
        lines.append(
            "meta nfproto ipv6 iifname != %s oifname %s ct state new ct status & dnat == 0 drop" % (names, names)
        )
    if wanted.get("peers") and wanted.get("peer_ports"):
        lines += [
            "",
            "# Other containers of this host would come to a peer with the host's address, which may.",
            "ip daddr %s tcp dport %s ct original ip saddr != %s drop"
            % (elements(wanted["peers"]), elements(wanted["peer_ports"]), inside),
        ]
    return lines


def ways_out(wanted: dict, subnets: list[str], seen: dict) -> list[str]:
    """Where containers of the stack get from the host. A refusal is told at once: clients wait long for an answer."""
    inside = elements(subnets)
    lines = [
        "",
        "# Who asks a cloud's metadata service gets the host's credentials. Some of these answer questions of DNS too.",
        "ip saddr %s ip daddr %s meta l4proto { tcp, udp } th dport != 53 %s" % (inside, elements(METADATA), REFUSE),
        "ip saddr %s ip daddr %s meta l4proto != { tcp, udp } %s" % (inside, elements(METADATA), REFUSE),
    ]
    if seen.get("bridges"):
        match = "iifname %s ip6 daddr %s" % (elements(quoted(seen["bridges"])), elements(METADATA_6))
        lines.append("%s meta l4proto { tcp, udp } th dport != 53 %s" % (match, REFUSE))
        lines.append("%s meta l4proto != { tcp, udp } %s" % (match, REFUSE))
    return [*lines, *inward_only(wanted, subnets, seen)]


def inward_only(wanted: dict, subnets: list[str], seen: dict) -> list[str]:
    """Containers that have no way out: those of some networks, and in the others those with such a hardware address."""
    inside, names = elements(subnets), elements(quoted(seen.get("bridges") or []))
    marked = "ether saddr & ff:ff:ff:00:00:00 == %s:00:00:00" % INWARD
    sources = ["ip saddr %s %s" % (inside, marked)]
    sources_6 = ["iifname %s %s" % (names, marked)]
    if wanted.get("inward"):
        sources.append("ip saddr %s" % elements(wanted["inward"]))
    if seen.get("inward"):
        sources_6.append("iifname %s" % elements(quoted(seen["inward"])))
    lines = ["", "# They answer, and open connections inside the stack only."]
    if wanted.get("peers") and wanted.get("peer_ports"):
        peers = elements(wanted["peers"]), elements(wanted["peer_ports"])
        lines += ["%s ip daddr %s tcp dport %s accept" % (source, *peers) for source in sources]
    outward = ["%s ip daddr != %s" % (source, inside) for source in sources]
    if seen.get("bridges"):
        outward += ["meta nfproto ipv6 %s oifname != %s" % (source, names) for source in sources_6]
    for match in outward:
        # A kernel that has forgotten an open connection takes it for new. That happens when a copy of the edge ends.
        # Only the first packet opens a connection.
        lines.append("%s tcp flags & (syn | ack) == syn ct state new %s" % (match, REFUSE))
        lines.append("%s meta l4proto != tcp ct state new %s" % (match, REFUSE))
    return lines


def host(wanted: dict, subnets: list[str], seen: dict) -> list[str]:
    """What containers of the stack reach on the host itself."""
    inside, ports = elements(subnets), [int(entry["port"]) for entry in wanted.get("ports") or []]
    lines = []
    if ports:
        lines += [
            "",
            "# An Engine with a userland proxy answers them itself.",
            "ip saddr %s ip daddr %s tcp dport %s accept" % (inside, wanted["address"], elements(ports)),
        ]
    if seen.get("nameservers"):
        lines += [
            "",
            "# Docker asks the host's name servers for its containers, from within them.",
            "ip saddr %s ip daddr %s meta l4proto { tcp, udp } th dport 53 accept"
            % (inside, elements(seen["nameservers"])),
        ]
    lines += ["", "# Nothing else of the host.", "ip saddr %s ct state new %s" % (inside, REFUSE)]
    if seen.get("bridges"):
        lines.append("meta nfproto ipv6 iifname %s ct state new %s" % (elements(quoted(seen["bridges"])), REFUSE))
    return lines


def quoted(names: list[str]) -> list[str]:
    return ['"%s"' % name for name in names]
