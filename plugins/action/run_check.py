# MIT License (see LICENSE)
"""Gathers how Ansible was started; controller.py and paths.py of plugin_utils/preflight judge it."""

from __future__ import annotations

import dataclasses
import os
import pathlib
import stat
import typing as t

from ansible import constants, context
from ansible.inventory.manager import InventoryManager, split_host_pattern
from ansible.plugins.action import ActionBase
from ansible_collections.broadcast.stack.plugins.plugin_utils.evaluation import HostVariables
from ansible_collections.broadcast.stack.plugins.plugin_utils.preflight import controller, paths
from ansible_collections.broadcast.stack.plugins.plugin_utils.preflight.causes import passed_on
from ansible_collections.broadcast.stack.plugins.plugin_utils.preflight.problems import Problem, report, variable_of
from ansible_collections.broadcast.stack.plugins.plugin_utils.services import register

CHECKOUT = pathlib.Path(__file__).resolve().parents[2]


class ActionModule(ActionBase):
    """Refuse a run that was started wrongly."""

    _requires_connection = False
    _supports_check_mode = True
    _VALID_ARGS = frozenset({"tags", "paths"})

    def run(self, tmp: str | None = None, task_vars: dict[str, t.Any] | None = None) -> dict[str, t.Any]:
        super().run(tmp, task_vars)
        _result, arguments = self.validate_argument_spec(
            argument_spec={
                "tags": {"type": "list", "elements": "str", "default": []},
                "paths": {"type": "bool", "default": True},
            }
        )
        groups = task_vars["groups"]
        sources = [str(source) for source in context.CLIARGS.get("inventory") or []]
        reason = self.configuration_reason()
        problems = controller.settings_problems(self.settings(), reason)
        problems += controller.inventory_problems(groups, list(register.GROUPS), sources)
        problems += self.limit_problems(task_vars)
        run, skip = task_vars.get("ansible_run_tags", []), task_vars.get("ansible_skip_tags", [])
        problems += controller.tag_problems(run, skip, arguments["tags"])
        hostvars = task_vars["hostvars"]
        hosts = register.members(groups)
        raw = {host: dict(hostvars.raw_get(host)) for host in hosts}
        # A variable that nothing but the wiring has.
        loaded = all("__stack_hosts" in variables for variables in raw.values())
        wiring = controller.wiring_problems(self.setting("VARIABLE_PLUGINS_ENABLED"), loaded, reason)
        problems += [problem for problem in wiring if problem not in problems]
        local = [host for host in hosts if raw[host].get("ansible_connection") == "local"]
        problems += controller.environment_problems(os.environ, local)
        if arguments["paths"]:
            problems += self.path_problems(raw, hostvars)
        lines = report(problems, hosts)
        if not lines:
            return {"changed": False}
        count = "1 problem" if len(lines) == 1 else "%d problems" % len(lines)
        told = ["The run was started with %s; nothing was changed." % count, *("- %s" % line for line in lines)]
        return {"changed": False, "failed": True, "msg": "\n".join(told)}

    @classmethod
    def settings(cls) -> dict[str, controller.Setting]:
        # Another release of Ansible may lack one of these.
        known = constants.config.get_configuration_definitions()
        return {name: cls.setting(name) for name in controller.NEEDED if name in known}

    @staticmethod
    def setting(name: str) -> controller.Setting:
        value, origin = constants.config.get_config_value_and_origin(name)
        return controller.Setting(value, str(origin))

    @staticmethod
    def configuration_reason() -> str:
        wanted = CHECKOUT / "ansible.cfg"
        in_effect = pathlib.Path(constants.CONFIG_FILE).resolve() if constants.CONFIG_FILE else ""
        return controller.configuration_reason(
            str(wanted) if wanted.exists() else "",
            str(in_effect),
            str(pathlib.Path.cwd().resolve()),
            str(CHECKOUT),
            os.environ.get("ANSIBLE_CONFIG", ""),
            bool(CHECKOUT.stat().st_mode & stat.S_IWOTH),
        )

    def limit_problems(self, task_vars: dict[str, t.Any]) -> list[Problem]:
        limit = task_vars.get("ansible_limit") or ""
        groups = task_vars["groups"]
        if not limit:
            return []
        inventory = InventoryManager(self._loader, parse=False)
        for group, hosts in groups.items():
            inventory.add_group(group)
            for host in hosts:
                inventory.add_host(host, group=group)
        unmatched = [
            part
            for part in split_host_pattern(limit)
            # Ansible itself has read a file of names.
            if not part.startswith("@") and not inventory.get_hosts(part.lstrip("!&"))
        ]
        return controller.limit_problems(limit, unmatched, {*groups, *groups["all"]} - {"ungrouped"})

    def path_problems(self, raw: dict[str, dict[str, t.Any]], hostvars: t.Any) -> list[Problem]:
        outcomes: dict = {}
        problems = []
        for name, variables in raw.items():
            host = HostVariables(name, variables, self._templar, outcomes, hostvars)
            # A value that cannot be evaluated is no path. It fails where it is used.
            judged = [one for one in variables if paths.judged(one) and not host.fails(one)]
            found = paths.path_problems({one: host.values[one] for one in judged})
            faulty = {variable_of(one.subject) for one in found}
            found = [one for one in found if not passed_on(one.subject, variables, faulty)]
            problems += [dataclasses.replace(one, host=name) for one in found]
        return problems
