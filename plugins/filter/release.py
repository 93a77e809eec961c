# MIT License (see LICENSE)
"""Filters of releases; the functions behind them are documented in module_utils/release.py."""

from __future__ import annotations

from ansible_collections.broadcast.stack.plugins.module_utils import release


class FilterModule:
    """What a release leaves behind, and how it is recorded."""

    def filters(self):
        return {
            "fleet_upstreams": release.fleet_upstreams,
            "release_discarded": release.discarded,
            "release_kept": release.kept_containers,
            "release_record": release.record,
            "release_retired": release.retired,
            "release_stale_images": release.stale_images,
            "slot_upstreams": release.slot_upstreams,
        }
