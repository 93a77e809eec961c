# MIT License (see LICENSE)
"""Filters of releases; the functions behind them are documented in plugin_utils/releases."""

from __future__ import annotations

from ansible_collections.broadcast.stack.plugins.plugin_utils.releases import failure, history, leftovers, upstreams


def _registered(hostvars, hosts, name):
    """Host to what a task registered there; without those where it did not run."""
    found = {host: hostvars[host].get(name) for host in hosts}
    return {host: result for host, result in found.items() if result and not result.get("skipped")}


def _absent(hostvars, hosts):
    return [name for host in hosts for name in (hostvars[host].get("stack_release") or {}).get("absent", [])]


def failures(hostvars, hosts):
    """Why a release failed on these hosts."""
    told = _registered(hostvars, hosts, "stack_release_failure")
    return failure.failures({host: told.get(host, {}).get("msg") for host in hosts}, _absent(hostvars, hosts))


def astray(hostvars, edges, hosts):
    """Edges that may serve a release that failed."""
    back = _registered(hostvars, edges, "stack_release_back")
    started = _registered(hostvars, hosts, "stack_release_started")
    return failure.astray(edges, back, bool(started), _absent(hostvars, hosts))


class FilterModule:
    """What a release leaves behind, and how it is recorded."""

    def filters(self):
        return {
            "fleet_upstreams": upstreams.fleet_upstreams,
            "release_astray": astray,
            "release_discarded": leftovers.discarded,
            "release_draining": leftovers.draining,
            "release_failures": failures,
            "release_kept": leftovers.kept_containers,
            "release_outdated": leftovers.outdated,
            "release_record": history.record,
            "release_retired": leftovers.retired,
            "release_stale_images": leftovers.stale_images,
            "release_undone": failure.undone,
            "slot_upstreams": upstreams.slot_upstreams,
        }
