# MIT License (see LICENSE)
"""What an observation of PostgreSQL answered about the owners and rights in the application's database.

The container's label C(broadcast.stack.observe) holds the question, M(broadcast.stack.stack_info) asks it and returns
the answer as C(answers[container]) C({rc, stdout, stderr}).
"""

from __future__ import annotations

import typing as t

SHOWN = 3


def faults(answer: dict[str, t.Any], database: str) -> list[str]:
    """One sentence per fault; none when there is no answer, since a server that does not answer has a health."""
    if answer.get("rc", -1) == 0:
        return str(answer["stdout"]).split("\n")[:-1]
    missing = 'database "%s" does not exist' % database
    return ["database %s is missing" % database] if missing in str(answer.get("stderr", "")) else []


def text(found: list[str]) -> str:
    """The first of them for one line of a plan or a status."""
    more = len(found) - SHOWN
    return ", ".join(found[:SHOWN]) + (" and %d more" % more if more > 0 else "")


class FilterModule:
    """Faults of a database."""

    def filters(self) -> dict[str, t.Callable[..., object]]:
        return {"postgres_faults": faults, "postgres_faults_text": text}
