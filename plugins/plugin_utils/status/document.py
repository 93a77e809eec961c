# MIT License (see LICENSE)
"""What runs where, and whether that is as it should be: pure functions of observations and plans."""

from __future__ import annotations

import time

from ansible_collections.broadcast.stack.plugins.plugin_utils.releases import history
from ansible_collections.broadcast.stack.plugins.plugin_utils.status import strain
from ansible_collections.broadcast.stack.plugins.plugin_utils.status.rows import (
    backup_rows,
    certificate_rows,
    compared,
    containers_of,
    live,
    missing_row,
    observed,
)

HEALTHY, BROKEN, DRIFT, DEGRADED = 0, 1, 2, 3
STATES = {HEALTHY: "healthy", BROKEN: "broken", DRIFT: "drift", DEGRADED: "degraded"}
# A certificate with fewer days left was not renewed when it should have been.
CERTIFICATE_DAYS = 14


def attempt(current, records):
    """The last release or rollback when it did not succeed: it failed, was abandoned, or runs."""
    last = max(records, key=lambda record: (record["number"], record["started_at"]), default=None)
    if not last or last["result"] == "succeeded" or (current and last["number"] < current["number"]):
        return None
    return last


def strained(host, entry, slot, least_free_mb):
    """(broken, degraded) of what users feel on a host although its containers run."""
    observation = entry["observation"]
    found = [strain.disk(host, observation["host"]["docker_free_mb"], least_free_mb)]
    for name, kind in (entry.get("asked") or {}).items():
        answer = (observation.get("answers") or {}).get(name)
        # The table already says that a container does not run.
        if answer and live(observation["containers"][name], slot):
            found.append(strain.JUDGES[kind]("%s: %s" % (host, name), answer))
    for name, container in sorted(observation["containers"].items()):
        if live(container, slot):
            found.append(strain.killed("%s: %s" % (host, name), container.get("oom_kills", 0)))
    # During maintenance errors are wanted.
    if entry.get("maintenance") not in observation["files"]:
        found.append(strain.requests(host, observation.get("requests") or {}))
    return [line for broken, _degraded in found for line in broken], [line for _broken, few in found for line in few]


def document(stack, hosts, slots, web_hosts, backups, now, certificates, least_free_mb=0):
    """Everything that a status shows.

    hosts: name to {observation (of stack_info, or what stood instead of it), failure (text), plans (role to result of
    role_plan), maintenance (path of the flag file, empty on hosts that are no edge), asked (container to kind, a key of
    strain.JUDGES)}. least_free_mb: what a deployment needs. slots: release slots. web_hosts:
    hosts of web. backups: host to names of its backups containers. certificates: host to path to {name, not_after}.
    """
    seen = {host: entry["observation"] for host, entry in hosts.items() if observed(entry["observation"])}
    current = history.live_record(seen)
    records = history.journal(seen)
    # The first run of all may be going on, or may have been interrupted.
    slot = current["slot"] if current else [*slots, ""][0]
    found = {
        "stack": stack,
        "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(now)),
        "release": current,
        "last_attempt": attempt(current, records),
        "containers": [],
        "kept": [],
        "backups": [],
        "certificates": [],
        "maintenance": [],
        "problems": [],
        "degraded": [],
        "drift": [],
    }
    problems, degraded, drift = found["problems"], found["degraded"], found["drift"]
    for host, entry in hosts.items():
        observation = entry["observation"]
        if not observed(observation):
            what = "unreachable" if (observation or {}).get("unreachable") else "not observed"
            row = {**missing_row(host, "", ""), "state": what}
            found["containers"].append(row)
            problems.append(
                "%s: %s: %s" % (host, what, (observation or {}).get("msg", "").strip() or "no reason given")
            )
            continue
        if not observation["engine"]["running"]:
            reason = observation["engine"]["error"] or "it is not installed"
            found["containers"].append({**missing_row(host, "", ""), "state": "no Docker Engine"})
            problems.append("%s: the Docker Engine does not answer: %s" % (host, reason))
            continue
        rows, kept = containers_of(host, observation, stack, slot, now)
        found["kept"] += kept
        if entry.get("failure"):
            problems.append("%s: cannot be compared with the inventory: %s" % (host, entry["failure"]))
        for role, plan in entry["plans"].items():
            absent, differs = compared(host, role, plan, observation["containers"])
            rows += absent
            drift += differs
        for row in rows:
            where = "%s: %s" % (host, row["container"])
            # It has been told to end, and does so by itself.
            if row["state"] == "draining":
                continue
            if row["state"] == "starting":
                drift.append("%s is starting" % where)
            elif row["state"] not in ("healthy", "running") and row["slot"] in ("", slot):
                problems.append("%s is %s" % (where, row["state"]))
            elif slots and current and row["slot"] not in ("", slot):
                drift.append("%s belongs to another release and runs" % where)
        found["containers"] += sorted(rows, key=lambda row: row["container"])
        if slots and host in web_hosts:
            mine = (observation.get("release") or {}).get("current")
            if not mine:
                problems.append("%s: has no live release" % host)
            elif mine["number"] != current["number"]:
                problems.append("%s: has release %d, live is %d" % (host, mine["number"], current["number"]))
        broken, few = strained(host, entry, slot, least_free_mb)
        problems += broken
        degraded += few
        found["backups"] += backup_rows(host, observation, backups.get(host, []), now)
        found["certificates"] += certificate_rows(host, certificates.get(host, {}), now)
        if entry.get("maintenance") in observation["files"]:
            found["maintenance"].append(host)
    for backup in found["backups"]:
        if backup["problem"]:
            problems.append("%s: %s: %s" % (backup["host"], backup["container"], backup["problem"]))
    for certificate in found["certificates"]:
        where = "%s: certificate %s" % (certificate["host"], certificate["name"])
        if certificate["not_after"] <= now:
            problems.append("%s has expired" % where)
        elif certificate["days"] < CERTIFICATE_DAYS:
            drift.append("%s expires in %d days" % (where, certificate["days"]))
    code = BROKEN if problems else DEGRADED if degraded else DRIFT if drift else HEALTHY
    return {"state": STATES[code], "exit_code": code, **found}
