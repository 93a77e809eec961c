# MIT License (see LICENSE)
"""What a status tells of single containers, backups and certificates."""

from __future__ import annotations

import calendar
import json
import re
import time

TIME = re.compile(r"(\d{4}-\d\d-\d\d)[T ](\d\d:\d\d:\d\d)")


def epoch(text):
    """Seconds since 1970 of a UTC time in the forms that Docker and the backups write; None when there is none."""
    found = TIME.match(text or "")
    if not found or found.group(1) == "0001-01-01":
        return None
    return calendar.timegm(time.strptime(" ".join(found.groups()), "%Y-%m-%d %H:%M:%S"))


def observed(observation):
    """Whether this is the observation of a host, not the error that it gave instead."""
    return isinstance(observation, dict) and "containers" in observation


def container_row(host, name, container, now):
    """What a status tells of a container."""
    state = container["status"]
    if state == "running":
        state = "draining" if container.get("draining") else container["health"] or "running"
    started = epoch(container.get("started_at")) if container["status"] == "running" else None
    return {
        "host": host,
        "container": name,
        "service": container["role"],
        "slot": container.get("slot", ""),
        "release": container.get("release", 0),
        "state": state,
        "draining_until": container.get("draining", ""),
        "uptime_seconds": None if started is None else max(0, int(now - started)),
        "image": container["image"],
        "image_id": container["image_id"],
        "restarts": container.get("restarts", 0),
    }


def missing_row(host, name, role):
    """The same of one that is specified and not there."""
    return {
        "host": host,
        "container": name,
        "service": role,
        "slot": "",
        "release": 0,
        "state": "missing",
        "draining_until": "",
        "uptime_seconds": None,
        "image": "",
        "image_id": "",
        "restarts": 0,
    }


def live(container, slot):
    """Whether a container belongs to what serves: data services, the edge, and the application of the live slot."""
    return container.get("slot", "") in ("", slot)


def containers_of(host, observation, stack, slot, now):
    """Rows of a host's containers, and the kept ones of other slots, {slot, release, containers}."""
    rows, kept = [], {}
    for name, container in sorted(observation["containers"].items()):
        if container["stack"] != stack:
            continue
        if container["role"].endswith("-run"):
            # A release, a backup or a command may run at the moment. Other containers are remains.
            if container["status"] == "running":
                rows.append({**container_row(host, name, container, now), "state": "running"})
            continue
        if live(container, slot) or container["status"] not in ("exited", "created", "dead"):
            rows.append(container_row(host, name, container, now))
        else:
            key = (container["release"], container["slot"])
            kept.setdefault(key, []).append(name)
    return rows, [
        {"host": host, "release": number, "slot": slot, "containers": names}
        for (number, slot), names in sorted(kept.items())
    ]


def backup_rows(host, observation, names, now):
    """The last backup that each backups container knows, or why it cannot tell."""
    rows = []
    for name in names:
        row = {"host": host, "container": name, "label": "", "type": "", "finished": "", "age_seconds": None}
        answer = (observation.get("answers") or {}).get(name)
        written = json.loads(answer["stdout"].strip() or "[]") if answer else []
        if answer is None:
            row["problem"] = "does not run"
        elif answer["rc"] != 0:
            row["problem"] = answer["stderr"].strip() or "ended with exit code %s" % answer["rc"]
        else:
            row["problem"] = "" if written else "there is no backup yet"
        if written:
            last = max(written, key=lambda backup: backup["finished"])
            row.update({key: last[key] for key in ("label", "type", "finished")})
            row["age_seconds"] = int(now - epoch(last["finished"]))
        rows.append(row)
    return rows


def certificate_rows(host, found, now):
    """found: path to {name, not_after (seconds)} of the certificates on a host; each certificate once."""
    rows = {}
    for path, certificate in sorted(found.items()):
        key = (certificate["name"], certificate["not_after"])
        if key not in rows:
            rows[key] = {"host": host, "path": path, **certificate}
            rows[key]["days"] = int((certificate["not_after"] - now) // 86400)
    return list(rows.values())


def serving(container):
    """Whether a container runs and is not known to be ill."""
    return container["status"] == "running" and container["health"] in ("healthy", "")


def compared(host, role, plan, containers):
    """Rows of missing containers, and drift, of what a role would do on a host."""
    rows, drift = [], ["%s: %s: %s" % (host, role, step) for step in plan.get("steps", [])]
    for change in plan.get("changes", []):
        present = containers.get(change["name"])
        if present is None and change["action"] == "create":
            rows.append(missing_row(host, change["name"], role))
        # The table already says that the container does not run or is unhealthy.
        elif present is None or serving(present) or not all(text.startswith("is ") for text in change["reasons"]):
            drift.append("%s: %s %s: %s" % (host, change["action"], change["name"], "; ".join(change["reasons"])))
    return rows, drift
