# MIT License (see LICENSE)
"""Counts module executions, the thing that a run's time consists of."""

from __future__ import annotations

DOCUMENTATION = r"""
name: module_count
type: aggregate
short_description: Count module executions on hosts
description:
  - Counts every module that Ansible really executes on a host, loops and the hidden ones of action plugins included
    (M(ansible.builtin.template) is two), split by role, and prints a table at the end.
  - Modules that are delegated to another host are counted there.
requirements:
  - Enable it with E(ANSIBLE_CALLBACKS_ENABLED=broadcast.stack.module_count).
options:
  path:
    description: File that gets the counts as JSON, a list of C(host), C(role), C(task), C(module).
    type: path
    env:
      - name: MODULE_COUNT_PATH
"""

import json
import os
import tempfile
from collections import Counter

from ansible.plugins.action import ActionBase
from ansible.plugins.callback import CallbackBase


def record(journal: str) -> None:
    """Make every module execution of this process and its forks append a line to the journal."""
    execute = ActionBase._execute_module

    def counted(self, module_name=None, *args, **kwargs):
        task = self._task
        entry = {
            "host": task.delegate_to or str((kwargs.get("task_vars") or {}).get("inventory_hostname", "")),
            "role": task._role.get_name(include_role_fqcn=False) if task._role else "",
            "task": task.name,
            "module": module_name or task.action,
        }
        with open(journal, "a", encoding="utf-8") as stream:
            stream.write(json.dumps(entry) + "\n")
        return execute(self, module_name, *args, **kwargs)

    ActionBase._execute_module = counted


class CallbackModule(CallbackBase):
    """Collects the journal of the workers when the run ends."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "aggregate"
    CALLBACK_NAME = "broadcast.stack.module_count"
    CALLBACK_NEEDS_ENABLED = True

    def __init__(self):
        super().__init__()
        handle, self.journal = tempfile.mkstemp(prefix="module-count-")
        os.close(handle)
        # Workers are forks of this process, so they inherit it.
        record(self.journal)

    def v2_playbook_on_stats(self, stats):
        with open(self.journal, encoding="utf-8") as stream:
            entries = [json.loads(line) for line in stream]
        os.unlink(self.journal)
        path = self.get_option("path")
        if path:
            with open(path, "w", encoding="utf-8") as stream:
                json.dump(entries, stream, indent=2)
        counts = Counter((entry["host"], entry["role"] or "(playbook)") for entry in entries)
        self._display.banner("MODULE EXECUTIONS")
        for (host, role), count in sorted(counts.items()):
            self._display.display("%-30s %-20s %4d" % (host, role, count))
        for host in sorted({host for host, _role in counts}):
            total = sum(count for (name, _role), count in counts.items() if name == host)
            self._display.display("%-30s %-20s %4d" % (host, "all", total))
