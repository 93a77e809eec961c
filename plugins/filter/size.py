# MIT License (see LICENSE)
"""Sizes as people write them (256m, 1.5 GB, 64MiB) for services that each count them in their own way."""

from __future__ import annotations

import re

from ansible.errors import AnsibleFilterError
from ansible_collections.broadcast.stack.plugins.plugin_utils.services.values import POWERS, is_size, size


def size_bytes(text: str | int, unit: str = "b") -> int:
    """Bytes of a size, or whole KiB, MiB, GiB of it (rounded down) with unit 'k', 'm', 'g'."""
    amount = size(text)
    if amount is None:
        raise AnsibleFilterError(f"{text!r} is not a size; write for example 256m or 1g")
    return int(amount / 1024 ** POWERS[unit.lower().removesuffix("b")])


def tmpfs_problems(tmpfs: list[str], variable: str, memories: dict[str, str]) -> list[str]:
    """
    Why file systems in memory do not fit into their containers, whose memory they count as: one sentence per container,
    its beginning the variable that holds them. memories: name of the variable to the memory of a container.
    """
    wanted = 0
    for text in tmpfs:
        for written in re.findall(r"[:,]size=([^,]*)", text):
            if not is_size(written):
                # A percentage is that of the host's memory.
                return [f"{variable}: size={written} of {text} is not a size; write for example size=64m"]
            wanted += size_bytes(written)
    return [
        f"{variable}: may hold {wanted // 2**20} MiB, which is all of {name} ({memory}) or more, so its container is"
        " killed before they are full; make size= smaller, or that memory larger"
        for name, memory in memories.items()
        # What is no size is told by who reads it.
        if is_size(memory) and wanted >= size_bytes(memory)
    ]


class FilterModule:
    """Conversion of sizes, and what fits into them."""

    def filters(self) -> dict[str, object]:
        return {"size_bytes": size_bytes, "tmpfs_problems": tmpfs_problems}
