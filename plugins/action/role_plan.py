# MIT License (see LICENSE)
"""What a role would do on a host, told by the controller; documented in plugins/modules/role_plan.py."""

from __future__ import annotations

from ansible.plugins.action import ActionBase


class ActionModule(ActionBase):
    """Keeps what is to be done in its result; executes no module."""

    _requires_connection = False
    _supports_check_mode = True
    _VALID_ARGS = frozenset({"steps", "comparison"})

    def run(self, tmp=None, task_vars=None):
        super().run(tmp, task_vars)
        _result, arguments = self.validate_argument_spec(
            argument_spec={"steps": {"type": "dict", "default": {}}, "comparison": {"type": "dict", "default": {}}}
        )
        steps = [text for text, due in arguments["steps"].items() if due]
        comparison = arguments["comparison"]
        changes = comparison.get("changes") or []
        release = comparison.get("release") or []
        return {
            "changed": False,
            "due": bool(steps or changes),
            "steps": steps,
            "changes": changes,
            "release": release,
        }
