# MIT License (see LICENSE)
"""Filters of the wiring; the functions behind them are documented in plugin_utils/services."""

from __future__ import annotations

from ansible.errors import AnsibleFilterError
from ansible_collections.broadcast.stack.plugins.plugin_utils.services import access


def redis_access(uses, prefix, instances, fleet=None):
    try:
        return access.redis_access(uses, prefix, instances, fleet)
    except access.AccessError as error:
        raise AnsibleFilterError(str(error)) from error


class FilterModule:
    """How an application reaches the services of its stack."""

    def filters(self):
        return {"database_access": access.database_access, "redis_access": redis_access}
