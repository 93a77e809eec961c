# MIT License (see LICENSE)
"""Containers as people read of them: a table, and why one did not become healthy."""

from __future__ import annotations


def failure_text(waited, logs):
    """One readable message about the containers that stack_info waited for in vain; empty when all are healthy."""
    blocks = []
    for name, outcome in waited.items():
        if outcome == "healthy":
            continue
        last = logs.get(name) or {}
        lines = ["%s did not become healthy: %s" % (name, outcome)]
        if last:
            killed = ", killed for lack of memory" if last["oom_killed"] else ""
            lines.append("status: %s, exit code %s%s" % (last["status"], last["exit_code"], killed))
            if last["health"]:
                lines.append("last health check: %s" % last["health"])
            lines.append("last log lines:")
            lines += ["  " + line for line in last["log"]] or ["  (none)"]
        blocks.append("\n".join(lines))
    return "\n\n".join(blocks)


def table(observation, stack):
    """Lines that show the stack's containers on a host: name, state, image, restarts and published ports."""
    engine = observation["engine"]
    if not engine["running"]:
        return ["Docker Engine is not running (%s)" % (engine["error"] or "not installed")]
    rows = [("CONTAINER", "STATE", "IMAGE", "RESTARTS", "PORTS")]
    for name, container in sorted(observation["containers"].items()):
        if container["stack"] == stack:
            rows.append(
                (
                    name,
                    container["health"] if container["status"] == "running" else container["status"],
                    container["image"],
                    str(container["restarts"]),
                    " ".join(str(port) for port in container["published"]),
                )
            )
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    return lines if len(rows) > 1 else ["No container of %s is on this host; run site.yml" % stack]
