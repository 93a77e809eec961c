# MIT License (see LICENSE)
"""Shows a text as it is; documented in plugins/modules/report.py."""

from __future__ import annotations

from ansible.plugins.action import ActionBase


class ActionModule(ActionBase):
    """Keeps the text and the exit code in its result, where callbacks find them; executes no module."""

    _requires_connection = False
    _supports_check_mode = True
    _VALID_ARGS = frozenset({"text", "errors", "exit_code"})

    def run(self, tmp=None, task_vars=None):
        super().run(tmp, task_vars)
        _result, arguments = self.validate_argument_spec(
            argument_spec={
                "text": {"type": "str", "required": True},
                "errors": {"type": "str", "default": ""},
                "exit_code": {"type": "int", "default": 0},
            }
        )
        return {
            "changed": False,
            "failed": arguments["exit_code"] != 0,
            "exit_code": arguments["exit_code"],
            "report": arguments["text"],
            "report_errors": arguments["errors"],
            "msg": "\n".join(part for part in (arguments["text"], arguments["errors"]) if part),
            "_ansible_verbose_always": True,
        }
