"""Sizes are read the same way wherever a person writes one."""

from __future__ import annotations

import pytest
from ansible.errors import AnsibleFilterError
from ansible_collections.broadcast.stack.plugins.filter.size import size_bytes


@pytest.mark.parametrize(
    ("text", "expected"),
    [("1024", 1024), (512, 512), ("1k", 1024), ("256mb", 2**28), ("256MiB", 2**28), ("1.5 G", 3 * 2**29)],
)
def test_size_in_bytes(text: str | int, expected: int) -> None:
    assert size_bytes(text) == expected


@pytest.mark.parametrize(("unit", "expected"), [("k", 204800), ("m", 200), ("g", 0)])
def test_size_in_other_units_is_rounded_down(unit: str, expected: int) -> None:
    assert size_bytes("200m", unit) == expected


@pytest.mark.parametrize("text", ["", "lots", "12 parsecs", "-1m", "m"])
def test_text_that_is_no_size_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(AnsibleFilterError, match="is not a size; write for example 256m"):
        size_bytes(text)
