# MIT License (see LICENSE)
"""The status as people read it: tables, and lines of logs."""

from __future__ import annotations

import time

from ansible_collections.broadcast.stack.plugins.plugin_utils import steps
from ansible_collections.broadcast.stack.plugins.plugin_utils.status.rows import observed, serving


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
                row["state"]
                + (" until %s" % row["draining_until"] if row["draining_until"] else "")
                + (" (%d restarts)" % row["restarts"] if row["restarts"] else ""),
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
                state = "" if serving(container) else container["health"]
                if container.get("draining"):
                    state = "draining until %s" % container["draining"]
                found.setdefault(what, []).append("%s (%s)" % (name, state) if state else name)
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
