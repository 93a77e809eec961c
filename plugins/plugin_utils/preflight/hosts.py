# MIT License (see LICENSE)
"""Hosts with the values of their variables, and what the inventory wants of each."""

from __future__ import annotations

import dataclasses
import pathlib
import time
import typing as t

from ansible_collections.broadcast.stack.plugins.plugin_utils.evaluation import HostVariables, Outcome
from ansible_collections.broadcast.stack.plugins.plugin_utils.preflight.problems import Problem, variable_of
from ansible_collections.broadcast.stack.plugins.plugin_utils.preflight.specifications import Specifications
from ansible_collections.broadcast.stack.plugins.plugin_utils.services import register

try:
    # Where a value was written. That is private to Ansible, so a report has to do without it where it is missing.
    from ansible._internal._datatag._tags import Origin
except ImportError:
    Origin = None


def origin_of(*values: t.Any) -> str:
    """File and line of the first value that knows them, relative to the working directory."""
    for value in values if Origin else ():
        if (tag := Origin.get_tag(value)) and (tag.path or tag.description):
            if not tag.path:
                return tag.description
            path = pathlib.Path(tag.path)
            path = path.relative_to(pathlib.Path.cwd()) if path.is_relative_to(pathlib.Path.cwd()) else path
            return "%s:%s" % (path, tag.line_num) if tag.line_num else str(path)
    return ""


class HostValues(HostVariables):
    """A host's variables, with the defaults of those it does not set."""

    def get(self, name: str, options: t.Mapping[str, t.Mapping[str, t.Any]]) -> t.Any:
        """Value of a variable that is well, else its default; None when there is neither."""
        if name in self.raw:
            return None if self.fails(name) else self.values[name]
        default = options.get(name, {}).get("default")
        try:
            return self.template(default)
        # The cause is another variable, and that is reported by itself.
        except Exception:
            return None


class Inventory:
    """The hosts of an inventory, what each of them is for, and the values of their variables."""

    def __init__(
        self,
        specs: Specifications,
        task_vars: dict[str, t.Any],
        templar: t.Any,
    ) -> None:
        self.specs = specs
        self.groups: dict[str, list[str]] = task_vars["groups"]
        self.hostvars = hostvars = task_vars["hostvars"]
        self.outcomes: dict[str, list[Outcome]] = {}
        self.hosts = [
            HostValues(name, dict(hostvars.raw_get(name)), templar, self.outcomes, hostvars)
            for name in self.groups["all"]
        ]
        self.observed_between = self.observation_span(self.hosts)
        self.addresses = {
            host.name: address
            for host in self.hosts
            if self.roles_of(host) and (address := host.get("stack_private_address", self.specs.stack))
        }

    @staticmethod
    def observation_span(hosts: list[HostValues]) -> tuple[float, float]:
        """
        The controller's time in which hosts told theirs. It is now, unless an unreachable host kept the others waiting:
        then the last answer tells how long ago that was.
        """
        now = time.time()
        observations = [one for host in hosts if isinstance(one := host.raw.get("container_observation"), dict)]
        epochs = [one["host"]["epoch"] for one in observations if "host" in one]
        waited = any(one.get("unreachable") for one in observations)
        return (min(now, max(epochs)) if waited and epochs else now), now

    def roles_of(self, host: HostValues) -> list[str]:
        groups = [group for group in register.GROUPS if host.name in self.groups.get(group, [])]
        roles = [role for group in groups for role in register.group_roles(group)]
        return [*(register.roles_everywhere() if groups else []), *roles]

    def is_spare(self, host: HostValues) -> bool:
        return host.name not in register.members(self.groups, register.DATA_GROUPS)

    def role_options(self, host: HostValues) -> dict[str, dict]:
        """
        Variables of the roles that the host runs. What containers are to have is counted there alone: the wiring passes
        it on, so the variable in which a user has written it holds the same a second time.
        """
        return {name: option for role in self.roles_of(host) for name, option in self.specs.roles.get(role, {}).items()}

    def number(self, host: HostValues, name: str) -> int:
        value = host.get(name, self.specs.stack)
        return int(value) if str(value).isdigit() else self.specs.stack[name]["default"]

    def listed(self, host: HostValues, name: str, options: dict[str, dict] | None = None) -> list[str]:
        value = host.get(name, options or self.specs.stack)
        return value if isinstance(value, list) else []

    def located(self, host: HostValues, problems: list[Problem]) -> list[Problem]:
        """Problems with the file and line of their variable."""
        keys = {key: key for key in host.raw}
        located = []
        for problem in problems:
            name = variable_of(problem.subject)
            if not problem.origin and name in host.raw:
                # The place of a key is that of its first definition. Only for an unknown name it is certain that
                # nothing overrides it.
                origin = origin_of(host.raw[name]) or ("" if name in self.specs.known else origin_of(keys[name]))
                problem = dataclasses.replace(problem, origin=origin)
            located.append(problem)
        return located
