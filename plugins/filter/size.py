# MIT License (see LICENSE)
"""Sizes as people write them (256m, 1.5 GB, 64MiB) for services that each count them in their own way."""

from __future__ import annotations

import re

from ansible.errors import AnsibleFilterError

# Always binary: Redis reads 1m as 10**6 and 1mb as 2**20, Docker reads both as 2**20, Celery counts KiB.
_UNITS = {"": 0, "k": 1, "m": 2, "g": 3, "t": 4}
SIZE = re.compile(r"(?P<number>\d+(?:\.\d+)?)\s*(?P<unit>[kmgt]?)(?:i?b)?", re.IGNORECASE)


def size_bytes(text: str | int, unit: str = "b") -> int:
    """Bytes of a size, or whole KiB, MiB, GiB of it (rounded down) with unit 'k', 'm', 'g'."""
    match = SIZE.fullmatch(str(text).strip())
    if not match:
        raise AnsibleFilterError(f"{text!r} is not a size; write for example 256m or 1g")
    amount = float(match["number"]) * 1024 ** _UNITS[match["unit"].lower()]
    return int(amount / 1024 ** _UNITS[unit.lower().removesuffix("b")])


def tmpfs_problems(tmpfs: list[str], variable: str, memories: dict[str, str]) -> list[str]:
    """
    Why file systems in memory do not fit into their containers, whose memory they count as: one sentence per container,
    its beginning the variable that holds them. memories: name of the variable to the memory of a container.
    """
    wanted = 0
    for text in tmpfs:
        for size in re.findall(r"[:,]size=([^,]*)", text):
            if not SIZE.fullmatch(size):
                # A percentage is that of the host's memory.
                return [f"{variable}: size={size} of {text} is not a size; write for example size=64m"]
            wanted += size_bytes(size)
    return [
        f"{variable}: may hold {wanted // 2**20} MiB, which is all of {name} ({memory}) or more, so its container is"
        " killed before they are full; make size= smaller, or that memory larger"
        for name, memory in memories.items()
        # What is no size is told by who reads it.
        if SIZE.fullmatch(str(memory).strip()) and wanted >= size_bytes(memory)
    ]


class FilterModule:
    """Conversion of sizes, and what fits into them."""

    def filters(self) -> dict[str, object]:
        return {"size_bytes": size_bytes, "tmpfs_problems": tmpfs_problems}
