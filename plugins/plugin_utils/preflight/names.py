# MIT License (see LICENSE)
"""Names of variables that no room has, and what was meant by them."""

from __future__ import annotations

import difflib
import functools
import typing as t

from ansible_collections.broadcast.stack.plugins.plugin_utils.preflight.problems import Problem

# Variables that roles register on hosts; inventories do not set them.
RUNTIME_VARIABLES = frozenset(
    {"container_observation", "container_run_result", "stack_lock", "stack_logs", "stack_plan", "stack_preflight"}
    | {"stack_release", "stack_release_back", "stack_release_failure", "stack_release_live", "stack_release_started"}
    | {"stack_role_plans", "stack_status_failure"}
)
# More edits than these make another word, not a misspelling.
MISSPELLING_EDITS = 2


def edits(left: str, right: str) -> int:
    """Damerau-Levenshtein distance (adjacent letters swapped count as one edit)."""
    rows = [list(range(len(right) + 1))]
    for i, a in enumerate(left, 1):
        row = [i]
        for j, b in enumerate(right, 1):
            cost = min(row[j - 1] + 1, rows[i - 1][j] + 1, rows[i - 1][j - 1] + (a != b))
            if i > 1 and j > 1 and a == right[j - 2] and left[i - 2] == b:
                cost = min(cost, rows[i - 2][j - 2] + 1)
            row.append(cost)
        rows.append(row)
    return rows[-1][-1]


def suggestion(name: str, known: t.Iterable[str], cutoff: float = 0.75) -> str:
    found = difflib.get_close_matches(name, sorted(known), n=1, cutoff=cutoff)
    return "did you mean %s?" % found[0] if found else ""


@functools.lru_cache(maxsize=1024)
def misspelt(name: str, known: frozenset[str]) -> str:
    """The known name that this one was meant to be, or nothing; short names have too many neighbours to say."""
    close = difflib.get_close_matches(name, known, n=1, cutoff=0.85)
    if close and len(name) > 2 * MISSPELLING_EDITS and edits(name, close[0]) <= MISSPELLING_EDITS:
        return close[0]
    return ""


def unknown_variables(
    defined: t.Iterable[str], known: t.Collection[str], prefixes: t.Collection[str], accepted: t.Collection[str] = ()
) -> list[Problem]:
    """Variables in one of our rooms that no room has, and near misses of a room's name."""
    problems = []
    for name in sorted(set(defined) - set(known) - set(accepted) - RUNTIME_VARIABLES):
        if name.startswith(("_", "ansible_")):
            continue
        if name.startswith(tuple(prefixes)):
            advice = suggestion(name, known) or "remove it or see the table of variables"
            problems.append(Problem(name, "unknown variable", advice + accept_advice(name)))
        elif meant := misspelt(name, frozenset(known)):
            problems.append(Problem(name, "looks misspelt", "did you mean %s?%s" % (meant, accept_advice(name))))
    return problems


def accept_advice(name: str) -> str:
    return " (if it is yours, list %s in stack_extra_variables)" % name


def renamed_variables(defined: t.Collection[str], renamed: t.Mapping[str, str]) -> list[Problem]:
    return [
        Problem(old, "was renamed", "set %s instead" % new) for old, new in sorted(renamed.items()) if old in defined
    ]


def deprecated_variables(defined: t.Collection[str], deprecated: t.Mapping[str, str]) -> list[Problem]:
    """Names of the version before, that work until the next one."""
    text = "has another name now; this one works until the next version"
    return [
        Problem(old, text, "set %s instead" % new, warning=True)
        for old, new in sorted(deprecated.items())
        if old in defined
    ]
