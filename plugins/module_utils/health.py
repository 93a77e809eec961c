# MIT License (see LICENSE)
"""Waiting until containers are healthy, or until waiting makes no sense."""

from __future__ import annotations

import http.client
import json
import time

from ansible_collections.broadcast.stack.plugins.module_utils import log_pipes, neighbors
from ansible_collections.broadcast.stack.plugins.module_utils.container_state import LABEL_PREFIX
from ansible_collections.broadcast.stack.plugins.module_utils.engine import EngineError, health_command


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


def starting(detail):
    """Whether the Engine has not yet found a running container healthy. It may look only after ten seconds or more."""
    state = detail["State"]
    return state.get("Status") == "running" and (state.get("Health") or {}).get("Status") == "starting"


class Asking:
    """
    Asks starting containers what their own health checks ask. One that is slow to answer is asked less often, and one
    that does not answer in its time no more: that is left to the Engine.
    """

    def __init__(self, docker_host, engine, now=time.monotonic):
        self.docker_host, self.engine, self.now = docker_host, engine, now
        self.next = {}

    def healthy(self, name, detail):
        command = health_command(detail)
        begun = self.now()
        if not command or begun < self.next.get(name, 0):
            return False
        # Docker counts in nanoseconds, and thirty seconds when nothing is said.
        seconds = (detail["Config"]["Healthcheck"].get("Timeout") or 30 * 10**9) / 10**9
        try:
            passed = self.engine(self.docker_host, timeout=seconds).answer(detail["Id"], command)[0] == 0
        except TimeoutError:
            self.next[name] = float("inf")
            return False
        # It ended, or runs no program yet.
        except (EngineError, OSError, http.client.HTTPException):
            return False
        self.next[name] = self.now() + self.now() - begun
        return passed


def in_slot(engine, stack, slot):
    """Containers of the stack in a release slot to the seconds after which waiting for one is given up."""
    labels = ["%s%s=%s" % (LABEL_PREFIX, key, value) for key, value in (("name", stack), ("slot", slot))]
    found = {}
    for entry in engine.get("/containers/json", all=1, filters=json.dumps({"label": labels})):
        if LABEL_PREFIX + "exclusive" not in entry["Labels"]:
            check = engine.get("/containers/%s/json" % entry["Id"])["Config"].get("Healthcheck") or {}
            # Docker counts in nanoseconds.
            found[entry["Names"][0].lstrip("/")] = max(120, (check.get("StartPeriod") or 0) // 10**9 + 60)
    return found


def wait_healthy(engine, healthy, restarts, asking, pause=0.25):
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
            if not found and starting(detail) and asking.healthy(name, detail):
                found = "healthy"
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
