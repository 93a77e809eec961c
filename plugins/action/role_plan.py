# MIT License (see LICENSE)
"""What roles would do on hosts, told by the controller; documented in plugins/modules/role_plan.py."""

from __future__ import annotations

from ansible.plugins.action import ActionBase
from ansible_collections.broadcast.stack.plugins.plugin_utils.evaluation import HostVariables, role_scope
from ansible_collections.broadcast.stack.plugins.plugin_utils.fleet import leaving
from ansible_collections.broadcast.stack.plugins.plugin_utils.forks import in_forks
from ansible_collections.broadcast.stack.plugins.plugin_utils.releases import planning


class ActionModule(ActionBase):
    """Evaluates the variables that say what is to be done, of all roles and hosts; executes no module."""

    _requires_connection = False
    _supports_check_mode = True
    _VALID_ARGS = frozenset({"hosts", "variables", "run_tags", "skip_tags", "known", "tolerant", "reached", "stack"})

    def run(self, tmp=None, task_vars=None):
        super().run(tmp, task_vars)
        _result, arguments = self.validate_argument_spec(
            argument_spec={
                "hosts": {"type": "dict", "required": True},
                "variables": {"type": "dict", "default": {}},
                "run_tags": {"type": "list", "elements": "str", "default": ["all"]},
                "skip_tags": {"type": "list", "elements": "str", "default": []},
                "known": {"type": "dict", "default": {}},
                "tolerant": {"type": "bool", "default": False},
                "reached": {"type": "list", "elements": "str", "default": []},
                "stack": {"type": "str", "default": ""},
            }
        )
        hosts = {}
        for role, names in arguments["hosts"].items():
            if self.selected(role, arguments):
                for host in names:
                    hosts.setdefault(host, []).append(role)
        # Roles and hosts mostly refer to the same values, so the other hosts begin with the values of the first.
        self.outcomes = {}
        plans, errors = self.plans({host: hosts[host] for host in list(hosts)[:1]}, arguments, task_vars)
        for found, failed in in_forks(
            lambda part: self.plans({host: hosts[host] for host in part}, arguments, task_vars), list(hosts)[1:]
        ):
            plans |= found
            errors |= failed
        roles = dict(arguments["known"].get("roles") or {})
        for role, names in arguments["hosts"].items():
            if self.selected(role, arguments):
                roles[role] = {host: plans[host][role] for host in names if role in plans[host]}
        warnings = []
        for host in arguments["reached"]:
            where = (host, task_vars["groups"], self.observation(host, task_vars), arguments["stack"])
            for role, plan in leaving.plans(*where).items():
                if self.selected(role, arguments):
                    roles[role] = {**roles.get(role, {}), host: plan}
            warnings += leaving.warnings(*where)
        result = {
            "changed": False,
            "roles": roles,
            "due": planning.due_roles(roles),
            "removed": leaving.removed(roles),
            "errors": errors,
            **({"warnings": warnings} if warnings else {}),
        }
        if errors and not arguments["tolerant"]:
            texts = ["%s: %s" % (host, text) for host, found in errors.items() for text in found]
            result |= {"failed": True, "msg": "\n".join(texts)}
        return result

    def plans(self, hosts, arguments, task_vars):
        """Host to role to plan, and host to errors, of these hosts and the roles of each."""
        plans, errors = {}, {}
        for host, roles in hosts.items():
            plans[host] = {}
            variables = self.variables_of(host, task_vars)
            for role in roles:
                try:
                    raw = {**role_scope(role, variables, self._loader), **arguments["variables"].get(role, {})}
                    found = HostVariables(host, raw, self._templar, self.outcomes, task_vars["hostvars"])
                    plan = found.value("__%s_plan" % role)
                # A plugin in a template may raise anything.
                except Exception as error:
                    errors.setdefault(host, []).append("%s: %s" % (role, error))
                else:
                    plans[host][role] = self.told(plan)
        return plans, errors

    @staticmethod
    def observation(host, task_vars):
        found = task_vars["hostvars"].raw_get(host).get("container_observation")
        return found if isinstance(found, dict) else {}

    @staticmethod
    def selected(role, arguments):
        """Whether --tags and --skip-tags leave a role in the run."""
        return bool({"all", "tagged", role} & set(arguments["run_tags"])) and role not in arguments["skip_tags"]

    def variables_of(self, host, task_vars):
        """The raw variables that this task has on a host."""
        hostvars = task_vars["hostvars"]
        return hostvars._variable_manager.get_vars(
            play=self._task.play, host=hostvars._inventory.get_host(host), task=self._task, include_hostvars=False
        )

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
