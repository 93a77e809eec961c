# MIT License (see LICENSE)
"""What is wrong with names of servers."""

from __future__ import annotations

from ansible_collections.broadcast.stack.plugins.plugin_utils.services.values import server_name_fault


def server_name_problems(names: list[str], variable: str) -> list[str]:
    """A sentence for each name that is none, its beginning the variable."""
    faults = {name: fault for name in names if (fault := server_name_fault(name))}
    return [f"{variable}: {name} {fault}; {remedy}" for name, (fault, remedy) in faults.items()]


class FilterModule:
    """Names of servers."""

    def filters(self) -> dict[str, object]:
        return {"server_name_problems": server_name_problems}
