# MIT License (see LICENSE)
"""Shows a text as it is; documented in plugins/modules/report.py."""

from __future__ import annotations

from ansible import constants
from ansible.plugins.action import ActionBase

EXIT_CODE = "broadcast.stack.exit_code"


def reported(text, errors, exit_code):
    """A result that callbacks show; it fails only where nothing else ends the process with the exit code."""
    return {
        "changed": False,
        "failed": exit_code != 0 and EXIT_CODE not in constants.CALLBACKS_ENABLED,
        "exit_code": exit_code,
        "msg": text,
        **({"errors": errors} if errors else {}),
        "_ansible_verbose_always": True,
    }


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
        return reported(arguments["text"], arguments["errors"], arguments["exit_code"])
