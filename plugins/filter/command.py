# MIT License (see LICENSE)
"""Commands of containers from data."""

from __future__ import annotations


def command_options(options: dict[str, object]) -> list[str]:
    """Long options from a dictionary, in its order; those without a value (null) are left out."""
    return [f"--{name}={value}" for name, value in options.items() if value is not None]


class FilterModule:
    """Parts of command lines."""

    def filters(self) -> dict[str, object]:
        return {"command_options": command_options}
