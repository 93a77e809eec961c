# MIT License (see LICENSE)
"""Filters of releases; the functions behind them are documented in plugin_utils/releases."""

from __future__ import annotations

from ansible_collections.broadcast.stack.plugins.plugin_utils.releases import release


def _registered(hostvars, hosts, name):
    """Host to what a task registered there; without those where it did not run."""
    found = {host: hostvars[host].get(name) for host in hosts}
    return {host: result for host, result in found.items() if result and not result.get("skipped")}


def _absent(hostvars, hosts):
    return [name for host in hosts for name in (hostvars[host].get("stack_release") or {}).get("absent", [])]


def failures(hostvars, hosts):
    """Why a release failed on these hosts."""
    told = _registered(hostvars, hosts, "stack_release_failure")
    return release.failures({host: told.get(host, {}).get("msg") for host in hosts}, _absent(hostvars, hosts))


def astray(hostvars, edges, hosts):
    """Edges that may serve a release that failed."""
    back = _registered(hostvars, edges, "stack_release_back")
    started = _registered(hostvars, hosts, "stack_release_started")
    return release.astray(edges, back, bool(started), _absent(hostvars, hosts))


class FilterModule:
    """What a release leaves behind, and how it is recorded."""

    def filters(self):
        return {
            "fleet_upstreams": release.fleet_upstreams,
            "release_astray": astray,
            "release_discarded": release.discarded,
            "release_failures": failures,
            "release_kept": release.kept_containers,
            "release_outdated": release.outdated,
            "release_record": release.record,
            "release_retired": release.retired,
            "release_stale_images": release.stale_images,
            "release_undone": release.undone,
            "slot_upstreams": release.slot_upstreams,
        }
