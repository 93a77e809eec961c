# MIT License (see LICENSE)
"""What releases did to the schema, from what the release commands print and what the journal holds of it.

The program of the release (roles/django_web/files/release.py) ends with a line C(RELEASE-RESULT) and JSON: applied
(list of {app, name, breaking, declared}), heads (app to the last applied migration), restore_point (name or empty).
"""

from __future__ import annotations

import json

PREFIX = "RELEASE-RESULT "


def release_result(run):
    """
    The object of the last result that release commands printed; one without migrations when there is none. run: what
    docker_container returned for them, whose message holds the output of commands that failed.
    """
    output = (run.get("container") or {}).get("Output") or run.get("msg") or ""
    for line in reversed(output.splitlines()):
        if line.startswith(PREFIX):
            try:
                found = json.loads(line[len(PREFIX) :])
            except ValueError:
                break
            if isinstance(found, dict):
                return found
            break
    return {"applied": [], "heads": {}}


def code_before(journal, number):
    """The release whose code was live before an attempt of this number; 0 when none was."""
    earlier = [record for record in journal if record["number"] < number and record["result"] == "succeeded"]
    last = max(earlier, key=lambda record: record["number"], default={})
    return last.get("origin", last.get("number", 0))


def rollback_problems(journal, target_number, live_number):
    """Why the schema does not fit the release with the target number any more: sentences, none when it fits.

    journal: records in any order. Attempts that failed after the live release count too: what they applied stays. A
    migration whose author declares it safe fits the release that was live before it, and no earlier one.
    """
    problems = []
    for record in sorted(journal, key=lambda record: (record["number"], record.get("started_at", ""))):
        number = record["number"]
        if number <= target_number or (number > live_number and record["result"] == "succeeded"):
            continue
        migrations = record.get("migrations") or {}
        for migration in migrations.get("applied") or []:
            reasons = list(migration.get("breaking") or [])
            if code_before(journal, number) != target_number:
                reasons += migration.get("declared") or []
            if reasons:
                problems.append(sentence(number, migration, reasons, target_number, migrations.get("restore_point")))
    return problems


def sentence(number, migration, reasons, target_number, restore_point):
    """Release, migration, reason and remedy."""
    return (
        "Release %d applied %s.%s, which %s; release %d does not work with that. Release a corrected version instead, "
        "or restore the database%s."
        % (
            number,
            migration["app"],
            migration["name"],
            " and ".join(reasons),
            target_number,
            " to restore point %s" % restore_point if restore_point else "",
        )
    )
