# MIT License (see LICENSE)
"""What runs where, and whether that is as it should be: pure functions of observations and plans."""

from __future__ import annotations

import calendar
import json
import re
import time

from ansible_collections.broadcast.stack.plugins.plugin_utils import steps
from ansible_collections.broadcast.stack.plugins.plugin_utils.releases import release
from ansible_collections.broadcast.stack.plugins.plugin_utils.status import strain

HEALTHY, BROKEN, DRIFT, DEGRADED = 0, 1, 2, 3
STATES = {HEALTHY: "healthy", BROKEN: "broken", DRIFT: "drift", DEGRADED: "degraded"}
# A certificate with fewer days left was not renewed when it should have been.
CERTIFICATE_DAYS = 14
# Roles whose containers come in release slots.
SLOTTED = ("django_web", "celery_worker")
TIME = re.compile(r"(\d{4}-\d\d-\d\d)[T ](\d\d:\d\d:\d\d)")


def epoch(text):
    """Seconds since 1970 of a UTC time in the forms that Docker and the backups write; None when there is none."""
    found = TIME.match(text or "")
    if not found or found.group(1) == "0001-01-01":
        return None
    return calendar.timegm(time.strptime(" ".join(found.groups()), "%Y-%m-%d %H:%M:%S"))


def span(seconds):
    """A time span in its two largest units, such as 3d 4h."""
    if seconds is None:
        return ""
    rest, parts = max(0, int(seconds)), []
    for unit, size in (("d", 86400), ("h", 3600), ("m", 60), ("s", 1)):
        if rest >= size or parts or unit == "s":
            parts.append("%d%s" % (rest // size, unit))
            rest %= size
    return " ".join(parts[:2])


def short(image_id):
    """The first twelve digits of an image's id, as Docker shows them."""
    return image_id.rpartition(":")[2][:12]


def observed(observation):
    """Whether this is the observation of a host, not the error that it gave instead."""
    return isinstance(observation, dict) and "containers" in observation


def container_row(host, name, container, now):
    """What a status tells of a container."""
    state = container["status"]
    if state == "running":
        state = container["health"] or "running"
    started = epoch(container.get("started_at")) if container["status"] == "running" else None
    return {
        "host": host,
        "container": name,
        "service": container["role"],
        "slot": container.get("slot", ""),
        "release": container.get("release", 0),
        "state": state,
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
    current = release.live_record(seen)
    records = release.journal(seen)
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


def columns(rows, indent=""):
    """Lines of a table whose first row is its head."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return [
        (indent + "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))).rstrip()
        for row in rows
    ]


def release_lines(found):
    """What is live, and what became of an attempt since then."""
    current, last = found["release"], found["last_attempt"]
    if current:
        back = " (rollback to release %d)" % current["origin"] if current["kind"] == "rollback" else ""
        text = "release %d%s in slot %s, %s, image %s, since %s by %s" % (
            current["number"],
            back,
            current["slot"],
            current["image"],
            short(current["image_id"]) or "unknown",
            current["finished_at"] or current["started_at"],
            current["actor"],
        )
    else:
        text = "no release in slots"
    lines = ["%s: %s. %s" % (found["stack"], found["state"], text)]
    # Releases of older versions have no such key.
    if current and current.get("seconds"):
        lines.append("it took %s" % steps.line(current["seconds"]))
    if last:
        what = "%s %d, begun %s by %s," % (last["kind"], last["number"], last["started_at"], last["actor"])
        how = "has not ended (step %s)" % last["step"] if last["result"] == "running" else last["result"]
        message = ": " + last["message"].strip() if last["message"] else ""
        lines.append("last attempt: %s %s%s" % (what, how, message))
    if found["maintenance"]:
        lines.append("maintenance is on: %s" % ", ".join(found["maintenance"]))
    return lines


def text(found):
    """The status as people read it."""
    lines = [*release_lines(found), ""]
    rows = [("HOST", "CONTAINER", "SLOT", "RELEASE", "STATE", "UP", "IMAGE")]
    for row in found["containers"]:
        rows.append(
            (
                row["host"],
                row["container"] or "-",
                row["slot"],
                str(row["release"] or ""),
                row["state"] + (" (%d restarts)" % row["restarts"] if row["restarts"] else ""),
                span(row["uptime_seconds"]),
                short(row["image_id"]),
            )
        )
    lines += columns(rows)
    if found["kept"]:
        kept = {}
        for entry in found["kept"]:
            kept.setdefault((entry["release"], entry["slot"]), []).append(entry["host"])
        releases = ", ".join("%d in %s" % key for key in sorted(kept))
        count = sum(len(entry["containers"]) for entry in found["kept"])
        lines += ["", "kept, stopped: release %s (%d container%s)" % (releases, count, "" if count == 1 else "s")]
    extra = [("BACKUP OF", "LAST", "AGE", "TYPE")] if found["backups"] else []
    for row in found["backups"]:
        extra.append((row["container"], row["finished"] or row["problem"], span(row["age_seconds"]), row["type"]))
    if extra:
        lines += ["", *columns(extra)]
    extra = [("CERTIFICATE", "HOST", "EXPIRES", "IN")] if found["certificates"] else []
    for row in found["certificates"]:
        expires = time.strftime("%Y-%m-%d", time.gmtime(row["not_after"]))
        extra.append((row["name"], row["host"], expires, "%d days" % row["days"]))
    if extra:
        lines += ["", *columns(extra)]
    parts = (
        ("broken", found["problems"]),
        ("degraded", found["degraded"]),
        ("differs from what is specified", found["drift"]),
    )
    for title, entries in parts:
        if entries:
            lines += ["", "%s:" % title, *("  " + entry for entry in entries)]
    return "\n".join(lines)


def standing(observations, stack, hosts):
    """A table of which release runs on which host, at the end of a release. observations: host to result of stack_info.

    A host that was not observed, since it could not be reached or the run ended before, has a line as well.
    """
    rows = [("HOST", "RUNS", "CONTAINERS")]
    for host in hosts:
        found = {}
        if not observed(observations.get(host)):
            rows.append((host, "unknown: it could not be observed", ""))
            continue
        if not observations[host]["engine"]["running"]:
            rows.append((host, "unknown: its Engine does not answer", ""))
            continue
        for name, container in sorted(observations[host]["containers"].items()):
            if container["stack"] == stack and container.get("slot") and container["status"] == "running":
                what = "release %d in slot %s" % (container["release"], container["slot"])
                found.setdefault(what, []).append(
                    name if serving(container) else "%s (%s)" % (name, container["health"])
                )
        rows += [(host, what, ", ".join(names)) for what, names in found.items()] or [
            (host, "nothing of a release", "")
        ]
    return "\n".join(columns(rows))


def log_text(logs):
    """Log lines of all hosts by time, each with its host and container. logs: host to the result of stack_logs."""
    lines = sorted(
        (
            (line["at"], host, line["container"], line["text"])
            for host, log in logs.items()
            for line in log.get("lines", [])
        ),
        key=lambda line: line[0],
    )
    width = max((len(host) + len(container) for _at, host, container, _text in lines), default=0) + 1
    shown = ["%s | %s" % (("%s %s" % line[1:3]).ljust(width), line[3]) for line in lines]
    gone = ["%s: %s" % (host, log.get("msg", "not read")) for host, log in logs.items() if "lines" not in log]
    return "\n".join(shown + gone) or "No log line of a running container."
