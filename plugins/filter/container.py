# MIT License (see LICENSE)
"""Filters of the container role; the functions behind them are documented in plugin_utils/containers."""

from __future__ import annotations

from ansible.errors import AnsibleFilterError
from ansible_collections.broadcast.stack.plugins.plugin_utils.containers import (
    changes,
    comparison,
    loading,
    selection,
    shown,
    specification,
)


def _guard(function):
    def filtered(*args, **kwargs):
        try:
            return function(*args, **kwargs)
        except specification.SpecificationError as error:
            raise AnsibleFilterError(str(error)) from error

    return filtered


class FilterModule:
    """Comparison of container specifications with the observation of a host."""

    def filters(self):
        return {
            "container_changes": _guard(changes.changes),
            "container_comparison": _guard(comparison.comparison),
            "container_loaded": _guard(loading.loaded),
            "container_one_run": _guard(changes.one_run),
            "container_failure_text": shown.failure_text,
            "container_names": selection.names,
            "container_observations": selection.observations,
            "container_table": shown.table,
        }
