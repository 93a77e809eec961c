# MIT License (see LICENSE)
"""Values as trees: what lies where."""

from __future__ import annotations

import typing as t


def shape(value: t.Any) -> str:
    return "dict" if isinstance(value, t.Mapping) else "list" if isinstance(value, (list, tuple)) else "scalar"


def leaves(value: t.Any, name: str = "") -> t.Iterator[tuple[str, str]]:
    """Text leaves of a value with the path that leads to each."""
    if isinstance(value, t.Mapping):
        for key, item in value.items():
            yield from leaves(item, "%s.%s" % (name, key) if name else str(key))
    elif isinstance(value, (list, tuple)):
        for index, item in enumerate(value):
            yield from leaves(item, "%s[%d]" % (name, index))
    elif isinstance(value, str):
        yield name, value


def select(value: t.Any, steps: t.Sequence[str], path: str) -> t.Iterator[tuple[str, t.Any]]:
    """What lies at a place, with the path that leads to it; scalars of a list are told by their value."""
    if not steps:
        yield path, value
    elif isinstance(value, t.Mapping):
        for key, item in value.items():
            if steps[0] == "@":
                yield "%s.%s" % (path, key), key
            elif steps[0] == "*" or (key == steps[0] and item is not None):
                yield from select(item, steps[1:], "%s.%s" % (path, key))
    elif steps[0] == "*" and isinstance(value, (list, tuple)):
        for index, item in enumerate(value):
            yield from select(item, steps[1:], path if shape(item) == "scalar" else "%s[%d]" % (path, index))
