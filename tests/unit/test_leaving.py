"""Hosts that join and leave a fleet."""

from __future__ import annotations

import pytest
from ansible_collections.broadcast.stack.plugins.module_utils import fleet

GROUPS = {"postgres": ["db"], "redis": ["db"], "web": ["a", "b"], "worker": ["b"], "edge": ["a", "e"]}


@pytest.mark.parametrize(
    ("host", "reason"),
    [
        ("a", ""),
        ("e", ""),
        ("b", "the only host of the group worker"),
        ("db", "runs postgres, whose data is there"),
        ("", "name one"),
        ("unknown", "no host of this stack"),
    ],
)
def test_a_host_leaves_unless_the_service_would_end(host, reason):
    found = "; ".join(fleet.leaving_problems(host, GROUPS))
    assert (reason in found) if reason else not found


def test_ports_are_closed_to_a_host_that_leaves():
    addresses = {"db": "192.0.2.1", "b": "192.0.2.3"}
    rules = fleet.firewall("db", GROUPS, addresses, {"postgres": [5432]})
    assert rules["ports"] == [{"port": 5432, "protocol": "tcp", "sources": ["192.0.2.3"]}]
    assert rules["peers"] == ["192.0.2.3"]
