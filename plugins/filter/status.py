# MIT License (see LICENSE)
"""Filters of the playbooks that only look; the functions behind them are documented in plugin_utils/status."""

from __future__ import annotations

from ansible_collections.broadcast.stack.plugins.plugin_utils.status import shown


def log_lines(hostvars, hosts):
    """The lines that stack_logs returned on the hosts, merged."""
    return shown.log_text({host: hostvars[host].get("stack_logs") or {} for host in hosts})


def standing(hostvars, hosts, stack):
    """The table of what was last observed on the hosts."""
    return shown.standing({host: hostvars[host].get("container_observation") for host in hosts}, stack, hosts)


class FilterModule:
    """What people read."""

    def filters(self):
        return {"log_lines": log_lines, "release_standing": standing}
