# MIT License (see LICENSE)
"""A problem that preflight found, and the report of all: nothing secret is in it."""

from __future__ import annotations

import dataclasses
import re
import typing as t


@dataclasses.dataclass(frozen=True)
class Problem:
    """One thing that is wrong: what, the value unless it is secret, what to do, and where."""

    subject: str
    text: str
    remedy: str = ""
    value: str = ""
    origin: str = ""
    host: str = ""
    # The problem is one of the host itself. The host is named even when all hosts have the problem, or when there is
    # only one.
    about_host: bool = False
    warning: bool = False

    def line(self, hosts: t.Sequence[str] = (), secrets: t.Collection[str] = ()) -> str:
        """One line; secrets are masked before anything is cut, so that no part of one remains."""
        where = ", ".join(hosts)
        origin = " (%s)" % self.origin if self.origin else ""
        value = " = %s" % cut(masked(self.value, secrets), 100) if self.value else ""
        subject = self.subject + value + origin
        text = cut(masked(self.text, secrets), 300)
        remedy = "; %s" % self.remedy if self.remedy else ""
        line = ": ".join(part for part in (where, subject, text) if part) + remedy
        return line if line.endswith("?") else line + "."


def variable_of(subject: str) -> str:
    """The variable that a problem is about: the first part of its subject."""
    return re.split(r"[.\[]", subject, maxsplit=1)[0]


def one_line(text: str) -> str:
    return " ".join(text.split())


def cut(text: str, limit: int) -> str:
    return text if len(text) <= limit else text[: limit - 1] + "…"


def masked(text: str, secrets: t.Collection[str]) -> str:
    for secret in sorted(map(one_line, secrets), key=len, reverse=True):
        # Shorter texts may be words of the report. A secret that is so short is a problem of its own.
        if len(secret) >= 6:
            text = text.replace(secret, "********")
    return text


def shown(value: t.Any) -> str:
    """A value as it appears in a report."""
    return one_line(value if isinstance(value, str) and value else repr(value))


def report(problems: t.Iterable[Problem], hosts: t.Collection[str], secrets: t.Collection[str] = ()) -> list[str]:
    """
    One line per problem. What several hosts share is one line, which names no host when all share it; the value of a
    secret is in none.
    """
    grouped: dict[Problem, list[str]] = {}
    for problem in problems:
        found = grouped.setdefault(dataclasses.replace(problem, host=""), [])
        if problem.host and problem.host not in found:
            found.append(problem.host)
    return [
        problem.line([] if len(found) == len(hosts) and not problem.about_host else found, secrets)
        for problem, found in grouped.items()
    ]


def in_both(variable: str, ours: t.Collection[str], others: t.Collection[str], text: str, remedy: str) -> list[Problem]:
    return [Problem(variable, text, remedy, shown(name)) for name in ours if name in others]
