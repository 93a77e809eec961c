# MIT License (see LICENSE)
"""Notes on a host about containers that finish what they do while nobody waits for them.

The stop signal is sent by a process that outlives the run, so the Engine alone does not tell such a container from one
that runs. The note names the start that was ended: one that was started again since then finishes nothing.
"""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
import time

FOLDER = os.path.join(".release", "draining")
# Seconds after the grace within which the Engine has killed what did not end.
SLACK = 10


def path(root, name):
    return os.path.join(root, FOLDER, name + ".json")


def write(root, name, detail, grace, now=None):
    """Note that a container has been told to end. It appears whole, or not at all."""
    until = (time.time() if now is None else now) + grace if grace >= 0 else None
    folder = os.path.dirname(path(root, name))
    os.makedirs(folder, mode=0o750, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=folder, prefix=".writing-")
    with os.fdopen(handle, "w", encoding="utf-8") as stream:
        json.dump({"id": detail["Id"], "started_at": detail["State"].get("StartedAt", ""), "until": until}, stream)
    os.replace(temporary, path(root, name))


def forget(root, name):
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path(root, name))


def read(root, detail, now=None):
    """The note of a running container that still may finish, {until (Unix time, None without end)}; None without one.

    detail: as the Engine inspects the container.
    """
    state = detail.get("State") or {}
    if not root or not state.get("Running"):
        return None
    try:
        with open(path(root, detail["Name"].lstrip("/")), encoding="utf-8") as stream:
            note = json.load(stream)
        known = (note["id"], note["started_at"]) == (detail["Id"], state.get("StartedAt", ""))
        until = note["until"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    late = until is not None and (time.time() if now is None else now) > until + SLACK
    return {"until": until} if known and not late else None


def told(note):
    """Until when, for people; empty without a note."""
    if note is None:
        return ""
    if note["until"] is None:
        return "it has finished"
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(note["until"]))
