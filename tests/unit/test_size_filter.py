"""Sizes are read the same way wherever a person writes one."""

from __future__ import annotations

import pytest
from ansible.errors import AnsibleFilterError
from ansible_collections.broadcast.stack.plugins.filter.size import size_bytes, tmpfs_problems


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


@pytest.mark.parametrize(
    ("tmpfs", "expected"),
    [
        (["/c:size=64m"], []),
        (["/c", "/d:mode=1777"], []),
        (["/c:mode=1777,size=256m"], ["limits.memory (256m)"]),
        (["/c:size=200m", "/d:size=100m"], ["limits.memory (256m)"]),
        (["/c:size=2g"], ["limits.memory (256m)", "web_memory (1g)"]),
        # Docker and the kernel read a number without a unit as bytes.
        (["/c:size=300000000"], ["limits.memory (256m)"]),
    ],
)
def test_file_systems_in_memory_fit_into_their_containers(tmpfs: list[str], expected: list[str]) -> None:
    memories = {"limits.memory": "256m", "web_memory": "1g", "other_memory": "wrong"}
    found = tmpfs_problems(tmpfs, "web_tmpfs", memories)
    assert [text.partition(" all of ")[2].partition(" or more")[0] for text in found] == expected
    assert all(text.startswith("web_tmpfs: may hold ") for text in found)


def test_a_percentage_is_that_of_the_host() -> None:
    (text,) = tmpfs_problems(["/c:size=50%"], "web_tmpfs", {"web_memory": "1g"})
    assert text == "web_tmpfs: size=50% of /c:size=50% is not a size; write for example size=64m"
