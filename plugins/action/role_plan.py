# MIT License (see LICENSE)
"""What a role would do on hosts, told by the controller; documented in plugins/modules/role_plan.py."""

from __future__ import annotations

from ansible.plugins.action import ActionBase
from ansible_collections.broadcast.stack.plugins.plugin_utils.evaluation import HostVariables


class ActionModule(ActionBase):
    """Evaluates the variable that says what is to be done, for all hosts at once; executes no module."""

    _requires_connection = False
    _supports_check_mode = True
    _VALID_ARGS = frozenset({"plan", "hosts", "tolerant"})

    def run(self, tmp=None, task_vars=None):
        super().run(tmp, task_vars)
        _result, arguments = self.validate_argument_spec(
            argument_spec={
                "plan": {"type": "str", "required": True},
                "hosts": {"type": "list", "elements": "str"},
                "tolerant": {"type": "bool", "default": False},
            }
        )
        here, outcomes = task_vars["inventory_hostname"], {}
        hosts = [here] if arguments["hosts"] is None else arguments["hosts"]
        plans, errors = {}, {}
        for name in hosts:
            raw = self.variables_of(name, task_vars)
            try:
                plan = HostVariables(name, raw, self._templar, outcomes, task_vars["hostvars"]).value(arguments["plan"])
            # A plugin in a template may raise anything.
            except Exception as error:
                errors[name] = str(error)
            else:
                plans[name] = self.told(plan)
        result = {"changed": False, "hosts": plans, "errors": errors}
        if errors and not arguments["tolerant"]:
            texts = [text if hosts == [here] else "%s: %s" % (name, text) for name, text in errors.items()]
            result |= {"failed": True, "msg": "\n".join(texts)}
        return result

    def variables_of(self, name, task_vars):
        """The raw variables that this task has on a host; hostvars lacks those of the role."""
        hostvars = task_vars["hostvars"]
        variables = hostvars._variable_manager.get_vars(
            play=self._task.play, host=hostvars._inventory.get_host(name), task=self._task
        )
        return {**variables, "ansible_search_path": task_vars["ansible_search_path"]}

    @staticmethod
    def told(plan):
        steps = [text for text, due in (plan.get("steps") or {}).items() if due]
        comparison = plan.get("comparison") or {}
        changes = comparison.get("changes") or []
        return {
            "due": bool(steps or changes),
            "steps": steps,
            "changes": changes,
            "release": comparison.get("release") or [],
        }
