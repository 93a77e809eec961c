# MIT License (see LICENSE)
"""Lists of names, and dictionaries over them, each documented in the file beside this one that has its name."""

from __future__ import annotations

from collections.abc import Iterable


def mapped_to(names: Iterable[str], value: object) -> dict[str, object]:
    """A dictionary with these keys that all have this value."""
    return dict.fromkeys(names, value)


def prefixed(texts: Iterable[object], beginning: object) -> list[str]:
    """The texts, each behind this beginning."""
    return [f"{beginning}{text}" for text in texts]


def suffixed(texts: Iterable[object], end: object) -> list[str]:
    """The texts, each before this end."""
    return [f"{text}{end}" for text in texts]


class FilterModule:
    """Lists of names."""

    def filters(self) -> dict[str, object]:
        return {"mapped_to": mapped_to, "prefixed": prefixed, "suffixed": suffixed}
