# MIT License (see LICENSE)
"""Filters of migrations; the functions behind them are documented in plugin_utils/releases."""

from __future__ import annotations

from ansible_collections.broadcast.stack.plugins.plugin_utils.releases import migrations


class FilterModule:
    """What releases did to the schema."""

    def filters(self):
        return {
            "release_result": migrations.release_result,
            "rollback_problems": migrations.rollback_problems,
        }
