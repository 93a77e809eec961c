# MIT License (see LICENSE)
"""Gather on the controller what the checks of plugin_utils/preflight judge, and report all problems at once."""

from __future__ import annotations

import typing as t

from ansible.plugins.action import ActionBase
from ansible_collections.broadcast.stack.plugins.plugin_utils import authorities
from ansible_collections.broadcast.stack.plugins.plugin_utils.preflight.host_checks import HostChecks
from ansible_collections.broadcast.stack.plugins.plugin_utils.preflight.hosts import HostValues, Inventory
from ansible_collections.broadcast.stack.plugins.plugin_utils.preflight.inventory import (
    backup_host_problems,
    edge_media_problems,
    group_problems,
    shared_volume_problems,
    worker_problems,
)
from ansible_collections.broadcast.stack.plugins.plugin_utils.preflight.problems import Problem, report
from ansible_collections.broadcast.stack.plugins.plugin_utils.preflight.services import service_problems
from ansible_collections.broadcast.stack.plugins.plugin_utils.preflight.specifications import COLLECTION, Specifications
from ansible_collections.broadcast.stack.plugins.plugin_utils.preflight.values import truthy
from ansible_collections.broadcast.stack.plugins.plugin_utils.templates import references


class ActionModule(ActionBase):
    """Refuse an inventory or a host that cannot work."""

    _requires_connection = False
    _supports_check_mode = True
    _VALID_ARGS = frozenset()

    def run(self, tmp: str | None = None, task_vars: dict[str, t.Any] | None = None) -> dict[str, t.Any]:
        super().run(tmp, task_vars)
        specs = Specifications(COLLECTION)
        inventory = Inventory(specs, task_vars, self._templar)
        checks = HostChecks(inventory, self._templar, self._loader)
        problems: list[Problem] = []
        # Hosts of other groups are not judged. Variables are, even when no host is in the right group.
        judged = [host for host in inventory.hosts if inventory.roles_of(host)] or inventory.hosts[:1]
        for host in judged:
            problems += checks.host_problems(host, task_vars["ansible_play_hosts_all"])
        problems[:0] = self.stack_problems(inventory)
        problems += self.authority_problems(inventory, judged)

        names = [host.name for host in judged]
        errors = report((one for one in problems if not one.warning), names, checks.secret_values)
        warnings = report((one for one in problems if one.warning), names, checks.secret_values)
        result: dict[str, t.Any] = {"changed": False, **({"warnings": warnings} if warnings else {})}
        observations = [host.raw.get("container_observation") or {} for host in inventory.hosts]
        result["reached_all"] = not any(observation.get("unreachable") for observation in observations)
        if errors:
            result["failed"] = True
            count = "1 problem" if len(errors) == 1 else "%d problems" % len(errors)
            result["msg"] = "\n".join(
                ["Preflight found %s; nothing was changed." % count, *("- %s" % line for line in errors)]
            )
        else:
            result["msg"] = "Preflight found no problem on %d host%s." % (len(judged), "" if len(judged) == 1 else "s")
            # A callback shows the message of a successful task only when it is asked for details.
            result["_ansible_verbose_always"] = True
        return result

    @staticmethod
    def stack_problems(inventory: Inventory) -> list[Problem]:
        """What concerns the inventory as a whole."""
        extra = {name for host in inventory.hosts for name in inventory.listed(host, "stack_extra_groups")}
        problems = group_problems(inventory.groups, extra)
        for host in inventory.hosts[:1]:
            pools = host.get("backend_worker_pools", inventory.specs.stack)
            beat = host.get("backend_beat_enabled", inventory.specs.stack)
            periodic = host.get("backend_periodic_commands", inventory.specs.stack)
            workers = inventory.groups.get("worker", [])
            if isinstance(pools, dict) and isinstance(periodic, dict) and beat is not None:
                problems += worker_problems(truthy(beat), list(pools), workers, list(periodic))
            volumes = host.get("backend_volumes", inventory.specs.stack)
            if isinstance(volumes, dict):
                problems += shared_volume_problems(inventory.groups, list(volumes))
                media_url = host.get("backend_media_url", inventory.specs.stack)
                problems += edge_media_problems(inventory.groups, list(volumes), media_url)
            # The wiring's own value is a template.
            chosen = not references(host.raw.get("backend_backup_volumes"))
            backed_up = inventory.listed(host, "backend_backup_volumes")
            problems += backup_host_problems(inventory.groups, backed_up, chosen)
            uses = host.get("backend_redis_uses", inventory.specs.stack)
            problems += service_problems(inventory.groups, host.raw, uses if isinstance(uses, dict) else {})
        return problems

    @staticmethod
    def authority_problems(inventory: Inventory, hosts: list[HostValues]) -> list[Problem]:
        """Authorities on the controller that are not those that the hosts know."""
        kept: dict[tuple[str, str, str], dict[str, t.Any]] = {}
        roots: dict[str, str] = {}
        for host in hosts:
            # When a value cannot be evaluated, the cause is another variable, and that is reported by itself.
            for one in host.get("__stack_authorities", {}) or []:
                observation = host.raw.get("container_observation")
                found = kept.setdefault((one["variable"], str(one["directory"]), one["name"]), {})
                if isinstance(observation, dict) and "containers" in observation:
                    found[host.name] = observation
                roots[host.name] = str(host.get("container_root", {}))
        replace = bool(hosts) and hosts[0].get("stack_other_authority", inventory.specs.stack) == "replace"
        return [
            Problem(variable, text, authorities.REMEDY, directory)
            for (variable, directory, name), observations in kept.items()
            for text in authorities.problems(directory, name, roots, observations, replace)
        ]
