"""Command lines are written as data."""

from __future__ import annotations

from ansible_collections.broadcast.stack.plugins.filter.command import command_options


def test_options_keep_their_order_and_unset_ones_are_left_out() -> None:
    options = {"queues": "a,b", "cpus": None, "prefetch-multiplier": 0, "pidfile": ""}
    assert command_options(options) == ["--queues=a,b", "--prefetch-multiplier=0", "--pidfile="]
