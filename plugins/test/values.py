# MIT License (see LICENSE)
"""Tests of values for roles; preflight asks the same judges, see plugins/plugin_utils/services/values.py."""

from __future__ import annotations

from ansible_collections.broadcast.stack.plugins.plugin_utils.services import values


class TestModule:
    """What a value is."""

    def tests(self) -> dict[str, object]:
        return {
            "container_memory": values.is_container_memory,
            "container_name": values.is_container_name,
            "positive_size": values.is_positive_size,
            "schedule": values.is_schedule,
            "size": values.is_size,
        }
