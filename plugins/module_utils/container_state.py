# MIT License (see LICENSE)
"""Containers and volumes of this host, as its Engine and its kernel tell of them."""

from __future__ import annotations

import http.client
import os
import re
import time

from ansible_collections.broadcast.stack.plugins.module_utils import draining
from ansible_collections.broadcast.stack.plugins.module_utils.engine import EngineError, joined

LABEL_PREFIX = "broadcast.stack."


def answers(engine, ask, containers):
    """Container to what its command answered; of running containers only."""
    found = {}
    for name, command in ask.items():
        if containers.get(name, {}).get("status") == "running":
            try:
                code, output, errors = engine.answer(name, command)
            except (EngineError, OSError, http.client.HTTPException) as error:
                code, output, errors = -1, "", str(error)
            found[name] = {"rc": code, "stdout": output, "stderr": errors}
    return found


def container_state(entry, detail, root=None):
    labels = entry.get("Labels") or {}
    host = detail.get("HostConfig", {})
    state = detail.get("State", {})
    networks = detail.get("NetworkSettings", {}).get("Networks") or {}
    published = {port["PublicPort"] for port in entry.get("Ports") or [] if port.get("PublicPort")}
    if entry["State"] in ("running", "restarting"):
        # The Engine lists no ports of a container that it is about to start again. But the container takes its ports at
        # every attempt.
        bindings = [row for rows in (host.get("PortBindings") or {}).values() for row in rows or []]
        published |= {int(row["HostPort"]) for row in bindings if row.get("HostPort")}
    return {
        "id": entry["Id"],
        "image": entry["Image"],
        "image_id": entry["ImageID"],
        "stack": labels.get(LABEL_PREFIX + "name", ""),
        "role": labels.get(LABEL_PREFIX + "role", ""),
        "checksum": labels.get(LABEL_PREFIX + "checksum", ""),
        "slot": labels.get(LABEL_PREFIX + "slot", ""),
        "release": int(labels.get(LABEL_PREFIX + "release") or 0),
        "exclusive": LABEL_PREFIX + "exclusive" in labels,
        "stand_in": labels.get(LABEL_PREFIX + "stand_in", ""),
        "status": entry["State"],
        "health": (state.get("Health") or {}).get("Status", ""),
        "draining": draining.told(draining.read(root, detail)),
        "networks": {name: value.get("IPAddress", "") for name, value in networks.items()},
        "published": sorted(published),
        "memory": host.get("Memory", 0),
        "nano_cpus": host.get("NanoCpus", 0),
        "pids_limit": host.get("PidsLimit") or 0,
        "restart_policy": host.get("RestartPolicy", {}).get("Name", ""),
        "restarts": detail.get("RestartCount", 0),
        "started_at": state.get("StartedAt", ""),
    }


def volume_state(entry):
    try:
        uid = os.stat(entry["Mountpoint"]).st_uid
    except OSError:
        uid = None
    return {"stack": (entry.get("Labels") or {}).get(LABEL_PREFIX + "name", ""), "uid": uid}


def container_log(engine, name, lines):
    """Status, exit code, last health check output and last log lines of a container; empty when there is none."""
    try:
        detail = engine.get("/containers/%s/json" % name)
        stream = engine.raw("/containers/%s/logs" % name, stdout=1, stderr=1, tail=lines)
    except EngineError:
        return {}
    state = detail["State"]
    checks = (state.get("Health") or {}).get("Log") or []
    return {
        "status": state.get("Status", ""),
        "exit_code": state.get("ExitCode", 0),
        "oom_killed": state.get("OOMKilled", False),
        "health": checks[-1]["Output"].strip() if checks else "",
        "log": (stream.decode(errors="replace") if detail["Config"].get("Tty") else joined(stream)).splitlines(),
    }


def oom_kills(pid, proc="/proc", cgroups="/sys/fs/cgroup"):
    """Processes of a container that the kernel killed for want of memory, as its control group counts them."""
    try:
        with open("%s/%d/cgroup" % (proc, pid)) as stream:
            lines = [line.rstrip("\n").split(":", 2) for line in stream]
    except OSError:
        return 0
    for _number, controllers, path in lines:
        if controllers in ("", "memory"):
            folder = "%s%s%s" % (cgroups, "/memory" if controllers else "", path)
            try:
                with open("%s/%s" % (folder, "memory.oom_control" if controllers else "memory.events")) as stream:
                    found = re.search(r"^oom_kill (\d+)$", stream.read(), re.M)
            except OSError:
                continue
            if found:
                return int(found.group(1))
    return 0


def edge_requests(engine, edge, seconds):
    """Requests of an edge's access log since so many seconds, and those that ended with an error of the server."""
    try:
        stream = engine.raw("/containers/%s/logs" % edge, stdout=1, since=int(time.time()) - seconds, tail=10000)
    except EngineError as error:
        return {"error": str(error)}
    statuses = re.findall(r'"status":"(\d{3})"', joined(stream, [1]))
    return {"total": len(statuses), "failed": sum(status >= "500" for status in statuses), "seconds": seconds}
