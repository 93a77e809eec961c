# MIT License (see LICENSE)
"""The state of releases as hosts have it, and as a run writes it: a record on every host, as JSON.

- C(current.json): the live release, written when every edge has switched to it.
- C(journal/<number>-<start>.json): every attempt, also those that failed or were interrupted.

A record: number (one more than the live one's), kind (release or rollback), origin (number of the release whose
containers it runs: its own, or that which a rollback went back to), slot, image, image_id, web_hosts, worker_hosts,
left_out (hosts that were away and have not come back since), actor, started_at, finished_at, result (running,
succeeded, failed, abandoned), step, message, migrations ({applied, heads}), seconds (step to how long it took, see
plugin_utils/steps.py).
"""

from __future__ import annotations


def live_record(observations):
    """The record of the live release, None before the first. The newest counts: writing the first was the switch."""
    found = [
        current
        for observation in observations.values()
        if (current := (observation.get("release") or {}).get("current"))
    ]
    return max(found, key=lambda record: record["number"], default=None)


def journal(observations):
    """The records of all hosts, each once, by number and start; a finished one wins over what another still has."""
    found = {}
    for observation in observations.values():
        for record in (observation.get("release") or {}).get("journal") or []:
            key = (record["number"], record["started_at"])
            if key not in found or found[key]["result"] == "running":
                found[key] = record
    return [found[key] for key in sorted(found)]


def unrecorded(observations, live):
    """
    Hosts whose record of the live release is missing, an older one or not ended: their run was interrupted after the
    switch, or they joined or came back later.
    """
    if not live:
        return []
    if live["result"] != "succeeded":
        return sorted(observations)
    return sorted(
        host
        for host, observation in observations.items()
        if not same_attempt((observation.get("release") or {}).get("current"), live)
    )


def fenced(live, observations):
    """Hosts that the live release has left out and that are not here either: what runs there is an older one."""
    return [host for host in (live or {}).get("left_out", []) if host not in observations]


def same_attempt(one, other):
    return bool(one) and all(one[key] == other[key] for key in ("number", "started_at", "result"))


def record(decision, **fields):
    """The journal's record of an attempt; also of one that is over, which the fields then say."""
    return {
        "number": decision["number"],
        "kind": "rollback" if decision.get("target") else "release",
        "origin": decision["origin"],
        "slot": decision["slot"],
        "image": "",
        "image_id": "",
        "web_hosts": [],
        "worker_hosts": [],
        "left_out": [],
        "actor": "",
        "started_at": "",
        "finished_at": "",
        "result": "running",
        "step": "",
        "message": "",
        "migrations": {"applied": [], "heads": {}},
        "seconds": {},
        **fields,
    }
