# MIT License (see LICENSE)
"""What web is asked, as the program `probe` of the role django_web takes it: pairs of wanted statuses and a path."""

from __future__ import annotations

# Of a smoke path that names none: a page or a redirect.
ANSWERED = "2?? 3??"


def health_questions(health):
    """Whether the process lives."""
    return [" ".join(map(str, health["statuses"])), health["path"]]


def ready_questions(health):
    """Whether users are served: the ready path, then the smoke paths; each of these a path, or {path, statuses}."""
    found = [" ".join(map(str, health["statuses"])), health["ready_path"]] if health["ready_path"] else []
    for entry in health["smoke_paths"]:
        one = {"path": entry} if isinstance(entry, str) else entry
        found += [" ".join(map(str, one.get("statuses") or [])) or ANSWERED, one["path"]]
    return found


class FilterModule:
    """Arguments of the program that asks web."""

    def filters(self):
        return {"health_questions": health_questions, "ready_questions": ready_questions}
