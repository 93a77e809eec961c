# MIT License (see LICENSE)
"""Registers a value; documented in plugins/modules/value.py."""

from __future__ import annotations

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase


class ActionModule(ActionBase):
    """Keeps the value in its result; executes no module."""

    _requires_connection = False
    _supports_check_mode = True
    _VALID_ARGS = frozenset({"value"})

    def run(self, tmp=None, task_vars=None):
        super().run(tmp, task_vars)
        if "value" not in self._task.args:
            raise AnsibleActionFail("value: is missing")
        return {"changed": False, "value": self._task.args["value"]}
