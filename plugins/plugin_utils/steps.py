# MIT License (see LICENSE)
"""How long the steps of a run take. A run is one process and its forks, so it has one clock."""

from __future__ import annotations

import collections.abc
import time
import typing as t

# A task, a block, an include or a play says by a variable of such a name which step it belongs to, `stack_step: build`.
# A role uses a variable of its own prefix.
SUFFIX = "_step"
# As they follow each other. A record of a release is kept as JSON with sorted keys.
ORDER = (
    *("preflight", "lock", "hosts", "build", "deliver", "services", "gate", "start", "switch", "workers", "drain"),
    *("backups", "journal", "undo"),
)


class Clock:
    """Gives every second of a run to one step: the last that has begun."""

    def __init__(self, now: collections.abc.Callable[[], float] = time.monotonic) -> None:
        self.now = now
        self.step = ""
        self.since = now()
        self.spent: dict[str, float] = {}

    def begin(self, step: str) -> None:
        """From now on the seconds are this step's, and its earlier ones stay. The first has the run's start as well."""
        if self.step:
            now = self.now()
            self.spent[self.step] = self.spent[self.step] + now - self.since
            self.since = now
        self.spent.setdefault(step, 0.0)
        self.step = step

    def seconds(self) -> dict[str, float]:
        """Step to its seconds till now, in the order in which they began."""
        current = {self.step: self.spent[self.step] + self.now() - self.since} if self.step else {}
        return {step: round(value, 1) for step, value in {**self.spent, **current}.items()}


def line(seconds: dict[str, float]) -> str:
    """Seconds of steps for people, with their sum; those that took no time are left out."""
    names = sorted(seconds, key=lambda name: ORDER.index(name) if name in ORDER else len(ORDER))
    parts = ["%s %.1f" % (name, seconds[name]) for name in names if seconds[name]]
    return "%.1f s: %s" % (sum(seconds.values()), ", ".join(parts))


class Node(t.Protocol):
    """A task, or what it stands in: blocks and includes, each within its parent."""

    vars: dict[str, t.Any]
    _parent: t.Any


def step_of(task: Node, play_vars: dict[str, t.Any]) -> str:
    """The step of a task, by itself or by the nearest that it stands in; empty when nothing says so."""
    places = [play_vars]
    node: t.Any = task
    while node is not None:
        places.insert(-1, node.vars or {})
        node = node._parent
    for variables in places:
        for name, value in variables.items():
            if name.endswith(SUFFIX) and isinstance(value, str):
                return value
    return ""


# Of this process; the forks in which tasks are executed have it as it was when they began.
CLOCK = Clock()
