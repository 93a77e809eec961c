"""What the kernel is to forget of the container that had an address before."""

from __future__ import annotations

from ansible_collections.broadcast.stack.plugins.module_utils import neighbors

LISTING = """\
10.213.1.66 dev br-a31fecb39e53 lladdr 02:42:0a:d5:01:42 REACHABLE
10.213.1.67 dev br-a31fecb39e53 lladdr 0a:b5:7a:01:02:03 STALE
10.213.1.68 dev br-a31fecb39e53  FAILED
fd00:1::2 dev br-a31fecb39e53 lladdr 02:42:0a:d5:01:42 router STALE
192.0.2.1 dev eth0 lladdr 02:42:0a:d5:01:01 REACHABLE
"""


def test_addresses_of_a_container_are_those_of_all_its_networks():
    app = {"IPAddress": "10.213.1.66", "GlobalIPv6Address": "fd00:1::2", "MacAddress": "0A:B5:7A:01:02:03"}
    none = {"IPAddress": "", "GlobalIPv6Address": "", "MacAddress": ""}
    detail = {"NetworkSettings": {"Networks": {"app": app, "host": none}}}
    assert neighbors.addresses(detail) == {"10.213.1.66": "0a:b5:7a:01:02:03", "fd00:1::2": "0a:b5:7a:01:02:03"}
    assert neighbors.addresses({}) == {}


def test_only_another_hardware_address_of_the_container_is_outdated():
    known = {address: "0a:b5:7a:01:02:03" for address in ("10.213.1.66", "10.213.1.67", "10.213.1.68", "fd00:1::2")}
    bridge = "br-a31fecb39e53"
    assert neighbors.outdated(LISTING, known) == [("10.213.1.66", bridge), ("fd00:1::2", bridge)]
    assert neighbors.outdated("", known) == []
