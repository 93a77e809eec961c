"""Work is shared between processes and comes back whole."""

from __future__ import annotations

import os

import pytest
from ansible_collections.broadcast.stack.plugins.plugin_utils.forks import in_forks


@pytest.mark.parametrize("processes", [1, 2, 3, 8])
def test_each_item_is_worked_on_once(processes):
    results = in_forks(lambda part: [(item * 2, os.getpid()) for item in part], [1, 2, 3], processes)
    assert sorted(value for result in results for value, _process in result) == [2, 4, 6]
    assert len({process for result in results for _value, process in result}) == min(processes, 3)


def test_nothing_is_nothing():
    assert in_forks(list, [], 4) == [[]]


def test_a_large_result_does_not_block():
    first, second = in_forks(lambda part: part[0] * 1_000_000, ["a", "b"], 2)
    assert (first, second) == ("a" * 1_000_000, "b" * 1_000_000)


def test_an_error_in_a_fork_is_raised_here():
    with pytest.raises(ZeroDivisionError):
        in_forks(lambda part: [1 // item for item in part], [1, 0], 2)


def test_a_result_that_cannot_travel_is_computed_here():
    results = in_forks(lambda part: lambda: part, [1, 2], 2)
    assert [result() for result in results] == [[1], [2]]
