# MIT License (see LICENSE)
"""Waiting until containers are healthy, or until waiting makes no sense."""

from __future__ import annotations

import time

from ansible_collections.broadcast.stack.plugins.module_utils import log_pipes, neighbors
from ansible_collections.broadcast.stack.plugins.module_utils.engine import EngineError


def health_outcome(detail, restarts, restarts_before):
    """Why waiting for a container's health is over, V(healthy) or a reason; empty while it can still become healthy."""
    state = detail["State"]
    health = (state.get("Health") or {}).get("Status", "")
    if state["Status"] == "running" and health in ("healthy", "none", ""):
        return "healthy"
    if state["Status"] in ("exited", "dead") and not state.get("Restarting"):
        return "ended with exit code %s" % state.get("ExitCode", 0)
    if detail.get("RestartCount", 0) - restarts_before >= restarts:
        return "ended and was restarted %d times" % restarts
    if health == "unhealthy" and state["Status"] == "running":
        return "unhealthy"
    return ""


def wait_healthy(engine, healthy, restarts, pause=0.5):
    """Container name to V(healthy) or the reason why waiting was given up. healthy: name to seconds."""
    started = time.monotonic()
    outcomes, before, known = {}, {}, {}
    while len(outcomes) < len(healthy):
        for name, seconds in healthy.items():
            if name in outcomes:
                continue
            try:
                detail = engine.get("/containers/%s/json" % name)
            except EngineError as error:
                outcomes[name] = str(error)
                continue
            # After each start, of which there may be several.
            start = detail["State"].get("StartedAt")
            if start and known.get(name) != start:
                neighbors.forget(detail)
                log_pipes.enlarge(detail["State"].get("Pid", 0))
                known[name] = start
            found = health_outcome(detail, restarts, before.setdefault(name, detail.get("RestartCount", 0)))
            if not found and time.monotonic() - started > float(seconds):
                found = "still %s after %s seconds" % (
                    (detail["State"].get("Health") or {}).get("Status", detail["State"]["Status"]),
                    seconds,
                )
            if found:
                outcomes[name] = found
        if len(outcomes) < len(healthy):
            time.sleep(pause)
    return {name: outcomes[name] for name in healthy}
