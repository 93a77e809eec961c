# MIT License (see LICENSE)
"""Filters of the wiring; the functions behind them are documented in plugin_utils/fleet."""

from __future__ import annotations

from ansible_collections.broadcast.stack.plugins.plugin_utils.fleet import fleet


class FilterModule:
    """What hosts of a fleet offer each other."""

    def filters(self):
        return {
            "fleet_absent_problems": fleet.absent_problems,
            "fleet_firewall": fleet.firewall,
            "fleet_leaving_problems": fleet.leaving_problems,
            "fleet_left_out": fleet.left_out,
            "fleet_images": fleet.images,
            "fleet_redis_services": fleet.redis_services,
            "fleet_trusted_addresses": fleet.trusted_addresses,
            "fleet_web_services": fleet.web_services,
        }
