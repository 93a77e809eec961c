# MIT License (see LICENSE)
"""Filters of the wiring between hosts; the functions behind them are documented in module_utils/fleet.py."""

from __future__ import annotations

from ansible_collections.broadcast.stack.plugins.module_utils import fleet


class FilterModule:
    """Ports, gateway and firewall of a fleet."""

    def filters(self):
        return {"fleet_firewall": fleet.firewall, "fleet_gateway_services": fleet.gateway_services}
