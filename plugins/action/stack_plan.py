# MIT License (see LICENSE)
"""The plan of a whole run; documented in plugins/modules/stack_plan.py."""

from __future__ import annotations

from ansible.plugins.action import ActionBase
from ansible_collections.broadcast.stack.plugins.plugin_utils.releases import planning


class ActionModule(ActionBase):
    """Collects what the roles planned on all hosts; executes no module."""

    _requires_connection = False
    _supports_check_mode = True
    _VALID_ARGS = frozenset({"hosts", "roles", "release", "notes"})

    def run(self, tmp=None, task_vars=None):
        super().run(tmp, task_vars)
        _result, arguments = self.validate_argument_spec(
            argument_spec={
                "hosts": {"type": "list", "elements": "str", "required": True},
                "roles": {"type": "list", "elements": "str", "required": True},
                "release": {"type": "dict", "default": {}},
                "notes": {"type": "list", "elements": "str", "default": []},
            }
        )
        plans = {}
        for host in arguments["hosts"]:
            variables = task_vars["hostvars"].raw_get(host)
            planned = planning.planned(variables, host)
            plans[host] = {role: planned[role] for role in arguments["roles"] if role in planned}
        lines = planning.summary(plans)
        decision = arguments["release"]
        if decision.get("due"):
            lines[:0] = planning.headline(decision)
        lines += planning.recorded(decision)
        due = bool(lines)
        text = (
            "\n".join(lines + arguments["notes"])
            if due
            else "Nothing is to be done on %d host%s."
            % (
                len(plans),
                "" if len(plans) == 1 else "s",
            )
        )
        return {
            "changed": False,
            "due": due,
            "msg": text,
            "_ansible_verbose_always": True,
        }
