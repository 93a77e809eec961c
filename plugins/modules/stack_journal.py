#!/usr/bin/python
# MIT License (see LICENSE)
"""Keeps the journal of releases on a host: one JSON record per attempt, and which release is live."""

from __future__ import annotations

DOCUMENTATION = r"""
module: stack_journal
short_description: Write a release into the journal of a host
description:
  - Writes the record of an attempt, whole or not at all, below C(<root>/.release/journal). Attempts of others that are
    still said to run were interrupted, and become C(abandoned).
options:
  root:
    description: Directory that holds the rendered files of the stack's containers.
    type: path
    required: true
  record:
    description: The record; C(number), C(started_at) and C(result) name it.
    type: dict
    required: true
  live:
    description: Whether this release is the live one from now on.
    type: bool
    default: false
  keep:
    description: Number of records that are kept.
    type: int
    default: 100
attributes:
  check_mode:
    description: Writes nothing.
    support: full
author: The broadcast.stack authors
"""

EXAMPLES = r"""
- name: Remember that the release has begun
  broadcast.stack.stack_journal:
    root: /opt/shop/containers
    record: {number: 7, started_at: "2026-11-24T15:12:03Z", result: running, slot: green}
"""

RETURN = r"""
path:
  description: File of the record.
  returned: always
  type: str
abandoned:
  description: Files of attempts that were interrupted.
  returned: always
  type: list
  elements: str
"""

import glob
import json
import os
import tempfile

from ansible.module_utils.basic import AnsibleModule


def read(path):
    try:
        with open(path, encoding="utf-8") as stream:
            return json.load(stream)
    except (OSError, ValueError):
        return None


def write(path, content):
    """The file appears whole, also after a crash of the host."""
    handle, temporary = tempfile.mkstemp(dir=os.path.dirname(path), prefix=".writing-")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as stream:
            json.dump(content, stream, indent=2, sort_keys=True)
            stream.write("\n")
            stream.flush()
            os.fsync(stream.fileno())
        os.chmod(temporary, 0o640)
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise


def record_name(entry):
    return "%05d-%s.json" % (entry["number"], entry["started_at"].replace(":", "").replace("-", ""))


def keep_journal(folder, record, live, keep, check_mode):
    journal = os.path.join(folder, "journal")
    path = os.path.join(journal, record_name(record))
    current = os.path.join(folder, "current.json")
    # What an attempt did to the schema is known when its commands have run, and not at each of its later steps.
    migrated = (read(path) or {}).get("migrations")
    if migrated and not any((record.get("migrations") or {}).values()):
        record = {**record, "migrations": migrated}
    changed = read(path) != record or (live and read(current) != record)
    others = [other for other in sorted(glob.glob(os.path.join(journal, "*.json"))) if other != path]
    # An attempt that had become live goes on serving, so a rollback can go back to it. Other attempts have left
    # nothing.
    served = read(current) or {}
    ended = {other: entry for other in others if (entry := read(other) or {}).get("result") == "running"}
    ended = {
        other: {**entry, "result": "succeeded" if entry == served else "abandoned"} for other, entry in ended.items()
    }
    abandoned = [other for other, entry in ended.items() if entry["result"] == "abandoned"]
    if not check_mode:
        os.makedirs(journal, mode=0o750, exist_ok=True)
        for other, entry in ended.items():
            write(other, entry)
        write(path, record)
        if live:
            write(current, record)
        for other in others[: max(0, len(others) + 1 - keep)]:
            os.unlink(other)
    return {"changed": changed or bool(ended), "path": path, "abandoned": abandoned}


def main():
    module = AnsibleModule(
        argument_spec={
            "root": {"type": "path", "required": True},
            "record": {"type": "dict", "required": True},
            "live": {"type": "bool", "default": False},
            "keep": {"type": "int", "default": 100},
        },
        supports_check_mode=True,
    )
    record, keep = module.params["record"], max(1, module.params["keep"])
    if not isinstance(record.get("number"), int) or not record.get("started_at") or not record.get("result"):
        module.fail_json(msg="record needs number (a whole number), started_at and result: %s" % record)
    folder = os.path.join(module.params["root"], ".release")
    try:
        result = keep_journal(folder, record, module.params["live"], keep, module.check_mode)
    except OSError as error:
        module.fail_json(msg="The journal in %s cannot be written: %s" % (folder, error))
    module.exit_json(**result)


if __name__ == "__main__":
    main()
