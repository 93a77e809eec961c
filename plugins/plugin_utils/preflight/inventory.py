# MIT License (see LICENSE)
"""The inventory as a whole: its groups, and what is where that must be together."""

from __future__ import annotations

import typing as t

from ansible_collections.broadcast.stack.plugins.plugin_utils.preflight.names import suggestion
from ansible_collections.broadcast.stack.plugins.plugin_utils.preflight.problems import Problem
from ansible_collections.broadcast.stack.plugins.plugin_utils.services.register import GROUPS


def group_problems(groups: t.Mapping[str, t.Sequence[str]], extra: t.Collection[str] = ()) -> list[Problem]:
    """groups: those of the inventory, with their hosts. extra: groups of the user's own."""
    problems = []
    for name in sorted(set(groups) - set(GROUPS) - set(extra) - {"all", "ungrouped"}):
        advice = suggestion(name, GROUPS, 0.6) or "known groups are %s" % ", ".join(GROUPS)
        problems.append(
            Problem("group %s" % name, "unknown", advice + " (if it is yours, list it in stack_extra_groups)")
        )
    for name, service in GROUPS.items():
        hosts = groups.get(name, [])
        if not hosts and service.required:
            problems.append(Problem("group %s" % name, "has no host", "add one to the inventory's hosts.yml"))
        if not hosts and service.advice:
            problems.append(Problem("group %s" % name, "has no host", service.advice, warning=True))
        limit = service.hosts_max
        if limit and len(hosts) > limit:
            text = "has %d hosts where %d can serve" % (len(hosts), limit)
            problems.append(Problem("group %s" % name, text, "keep one", value=", ".join(hosts)))
    apart = sorted(set(groups.get("backups", [])) - set(groups.get("postgres", [])))
    if apart and groups.get("postgres"):
        text = "is not a host of postgres, but backups read its volumes"
        problems.append(Problem("group backups", text, "name the host of the group postgres", value=", ".join(apart)))
    grouped = {host for name, hosts in groups.items() if name not in ("all", "ungrouped") for host in hosts}
    for host in groups.get("all", []):
        if host not in grouped:
            problems.append(Problem(host, "is in no group", "put it into one of %s" % ", ".join(GROUPS)))
    return problems


def shared_volume_problems(groups: t.Mapping[str, t.Sequence[str]], volumes: t.Collection[str]) -> list[Problem]:
    """Volumes of the application are a host's own; on several hosts each has another content."""
    hosts = sorted({host for name in ("web", "worker") for host in groups.get(name, [])})
    if len(hosts) < 2 or not volumes:
        return []
    text = "each of the hosts %s has files of its own in it" % ", ".join(hosts)
    remedy = "use object storage or mount a shared file system, unless the application can live with that"
    return [Problem("backend_volumes.%s" % name, text, remedy, warning=True) for name in volumes]


def edge_media_problems(
    groups: t.Mapping[str, t.Sequence[str]], volumes: t.Collection[str], media_url: str
) -> list[Problem]:
    """An edge serves uploaded files from the volume of its own host, where only web puts any."""
    web = groups.get("web", [])
    apart = [host for host in groups.get("edge", []) if host not in web]
    if not (web and apart and media_url and "media" in volumes):
        return []
    text = "uploaded files lie on %s, so the edge on %s asks the application for them"
    text %= ", ".join(web), ", ".join(apart)
    remedy = "put web and edge on one host, use object storage, or let the application serve them and say so by ''"
    return [Problem("backend_media_url", text, remedy, media_url, warning=True)]


def backup_host_problems(
    groups: t.Mapping[str, t.Sequence[str]], volumes: t.Collection[str], chosen: bool
) -> list[Problem]:
    """Backups read the volumes of their own host. Those that the inventory itself names have to be among them."""
    hosts = list(dict.fromkeys(host for name in ("web", "worker") for host in groups.get(name, [])))
    apart = [host for host in groups.get("backups", []) if host not in hosts]
    if not (hosts and apart and volumes):
        return []
    text = "lies on %s, while backups run on %s: not backed up" % (", ".join(hosts), ", ".join(apart))
    remedy = (
        "put postgres and backups on that host, use object storage, or set it to [] and back files up by other means"
    )
    return [Problem("backend_backup_volumes", text, remedy, ", ".join(map(str, volumes)), warning=not chosen)]


def worker_problems(
    beat: bool, pools: t.Collection[str], hosts: t.Collection[str], periodic: t.Collection[str] = ()
) -> list[Problem]:
    problems = []
    if beat and not hosts:
        remedy = "add a host to the group worker or set backend_beat_enabled to false"
        problems.append(Problem("backend_beat_enabled", "is on without a worker host", remedy, "true"))
    if beat and not pools:
        remedy = "define a pool or set backend_beat_enabled to false: nobody would run what beat schedules"
        problems.append(Problem("backend_beat_enabled", "is on without a worker pool", remedy, "true"))
    if periodic and not hosts:
        text, remedy = "has no host to run on", "add a host to the group worker or empty it"
        problems.append(Problem("backend_periodic_commands", text, remedy, ", ".join(periodic)))
    if hosts and not pools and not periodic:
        remedy = "define one or leave the group worker empty"
        problems.append(Problem("backend_worker_pools", "has no pool for the group worker", remedy, "{}", warning=True))
    return problems
