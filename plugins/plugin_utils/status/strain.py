# MIT License (see LICENSE)
"""What users feel although every process lives: pure functions of what services answered and of what hosts counted."""

from __future__ import annotations

import re

# Shares of failed requests in the window: the first is worth a word, the second is met by most users. Fewer failures
# than the minimum are chance.
REQUESTS_DEGRADED, REQUESTS_BROKEN, REQUESTS_LEAST = 0.02, 0.2, 5
# Share of its memory from which on a Redis that drops nothing is called full.
MEMORY_DEGRADED = 0.9


def web(where, answer):
    """(broken, degraded) of the paths that a release has to answer."""
    if answer["rc"] == 0:
        return [], []
    said = " ".join((answer["stdout"] or answer["stderr"]).splitlines()[:1]) or "nothing"
    return [
        "%s does not serve: %s; see its log (make logs SERVICE=web), or go back (make rollback)" % (where, said)
    ], []


def redis(where, answer):
    """(broken, degraded) of an instance, from INFO."""
    if answer["rc"] != 0:
        return ["%s does not answer: %s" % (where, (answer["stderr"] or answer["stdout"]).strip())], []
    info = dict(re.findall(r"^(\w+):(.*?)\s*$", answer["stdout"], re.M))
    broken, degraded = [], []
    used, limit = int(info.get("used_memory", 0)), int(info.get("maxmemory", 0))
    if limit and info.get("maxmemory_policy") == "noeviction":
        remedy = "raise maxmemory in redis_instances, or see what fills it"
        if used >= limit:
            broken.append("%s is full and refuses writes (%s of %s); %s" % (where, size(used), size(limit), remedy))
        elif used >= MEMORY_DEGRADED * limit:
            degraded.append("%s is nearly full (%s of %s); %s" % (where, size(used), size(limit), remedy))
    if info.get("aof_enabled") == "1" and info.get("aof_last_write_status", "ok") != "ok":
        broken.append("%s cannot write its append-only file; free room on the disk" % where)
    return broken, degraded


def postgres(where, answer):
    """(broken, degraded) of a database, from the faults of owners and rights that its observation found, one a line."""
    if answer["rc"] != 0:
        return ["%s does not answer: %s" % (where, (answer["stderr"] or answer["stdout"]).strip())], []
    faults = [line for line in answer["stdout"].splitlines() if line.strip()]
    if not faults:
        return [], []
    shown = ", ".join(faults[:3]) + (" and %d more" % (len(faults) - 3) if len(faults) > 3 else "")
    return ["%s: the application may be refused what it needs: %s; site.yml mends it" % (where, shown)], []


JUDGES = {"web": web, "redis": redis, "postgres": postgres}


def size(count):
    """Bytes in MiB."""
    return "%d MiB" % (count // 2**20)


def disk(host, free_mb, least_mb):
    """(broken, degraded) of the file system that holds the Engine's data."""
    text = "%s: %d MiB are free for Docker, a deployment needs %d; remove what is old or add room"
    if free_mb >= least_mb:
        return [], []
    line = text % (host, free_mb, least_mb)
    return ([line], []) if free_mb < least_mb / 8 else ([], [line])


def requests(host, counted):
    """(broken, degraded) of an edge's answers, {total, failed (5xx), seconds}, or {error} where they are not known."""
    if counted.get("error"):
        return [], ["%s: the requests of the edge could not be counted: %s" % (host, counted["error"])]
    total, failed = counted.get("total", 0), counted.get("failed", 0)
    if failed < REQUESTS_LEAST or failed < REQUESTS_DEGRADED * total:
        return [], []
    line = (
        "%s: %d of %d requests of the last %d minutes ended with an error of the server; see make logs SERVICE=web"
        % (
            *(host, failed, total),
            counted["seconds"] // 60,
        )
    )
    return ([line], []) if failed >= REQUESTS_BROKEN * total else ([], [line])


def killed(where, count):
    """(broken, degraded) of a container in which processes were killed for want of memory."""
    if not count:
        return [], []
    what = "process was" if count == 1 else "processes were"
    return [], ["%s: %d %s killed for want of memory since its start; raise its memory limit" % (where, count, what)]
