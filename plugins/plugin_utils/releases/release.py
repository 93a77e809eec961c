# MIT License (see LICENSE)
"""A release of the application over all hosts of a stack, decided on the controller: pure functions of observations.

The state of releases is a record on every host, as JSON:

- C(current.json): the live release, written when every edge has switched to it.
- C(journal/<number>-<start>.json): every attempt, also those that failed or were interrupted.

A record: number (one more than the live one's), kind (release or rollback), origin (number of the release whose
containers it runs: its own, or that which a rollback went back to), slot, image, image_id, web_hosts, worker_hosts,
left_out (hosts that were away and have not come back since), actor, started_at, finished_at, result (running,
succeeded, failed, abandoned), step, message, migrations ({applied, heads}), seconds (step to how long it took, see
plugin_utils/steps.py).
"""

from __future__ import annotations

from ansible_collections.broadcast.stack.plugins.module_utils.image_references import canonical, repository
from ansible_collections.broadcast.stack.plugins.plugin_utils.releases import migrations

FIRST = 1
# What a release consists of: none of it can be left out by tags.
PARTS = ("images", "django_web", "celery_worker", "nginx_tls")


class ReleaseError(ValueError):
    """Why a release or a rollback cannot be made."""


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


def outdated(observation, stack, live, web):
    """
    Running containers that may write, of another release than the live one, on a host that was away when that became
    live. web: name of web's containers without the slot; no edge asks them, so they stay until they are retired.
    """
    current = (observation.get("release") or {}).get("current")
    if not live or not current or current["number"] >= live["number"]:
        return []
    return sorted(
        name
        for name, container in observation["containers"].items()
        if container["stack"] == stack
        and container["role"] in ("django_web", "celery_worker")
        and container.get("slot")
        and container.get("release") != live["origin"]
        and container["status"] not in ("exited", "created", "dead")
        and name != "%s-%s" % (web, container["slot"])
    )


def same_attempt(one, other):
    return bool(one) and all(one[key] == other[key] for key in ("number", "started_at", "result"))


def switched_further(observations, stack, live):
    """
    Whether an edge serves a release after the live one, whose run was killed in between. An older one is served by an
    edge that was away, or since a rollback was killed, which the same command finishes.
    """
    links = (observation.get("links") or {} for observation in observations.values())
    served = {target for paths in links for path, target in paths.items() if path.endswith("/slot/current")}
    releases = slot_releases(observations, stack)
    return any(releases.get(slot, 0) > live["number"] for slot in served)


def tags_problem(run_tags, skip_tags):
    """Why a release cannot be made with --tags and --skip-tags; empty when it can."""
    if {"all", "tagged"} & set(run_tags) and not set(PARTS) & set(skip_tags):
        return ""
    return (
        "The application differs from the live release, and a release is made as a whole: %s. Run it without --tags "
        "and without --skip-tags of these; tags are for the other roles, or when no release is due." % ", ".join(PARTS)
    )


def slot_releases(observations, stack):
    """Slot to the newest release that has containers in it, on any host."""
    found = {}
    for observation in observations.values():
        for container in observation.get("containers", {}).values():
            slot = container.get("slot")
            if container.get("stack") == stack and slot:
                found[slot] = max(found.get(slot, 0), container.get("release", 0))
    return found


def next_slot(slots, live, releases, number):
    """The slot of the next release: that of an interrupted attempt, an empty one, or that of the oldest release."""
    free = [slot for slot in slots if not live or slot != live["slot"]]
    if not free:
        raise ReleaseError(
            "stack_release_slots: a release needs a slot beside the live one (%s); name at least two" % live["slot"]
        )
    return min(free, key=lambda slot: (releases.get(slot) != number, releases.get(slot, 0), slots.index(slot)))


def first_number(observations, stack):
    """The number of a release when none is recorded as live: that of an attempt that became none, or the one after the
    newest whose containers are there, since the records may be lost and numbers name containers and images."""
    attempts = [record["number"] for record in journal(observations)]
    releases = slot_releases(observations, stack).values()
    return max(attempts) if attempts else max(releases, default=FIRST - 1) + 1


def placement(slots, live):
    """Slot and release number of the containers that are to run when nothing new is released."""
    if not slots:
        return {"slot": "", "origin": 0, "number": 0}
    if live:
        return {"slot": live["slot"], "origin": live["origin"], "number": live["number"]}
    return {"slot": slots[0], "origin": FIRST, "number": FIRST}


def decide(slots, observations, comparisons, stack):
    """What this run does with the application: {due, reasons, slot, origin, number, previous, unrecorded}.

    slots: names, empty when containers are replaced in place. observations: host to result of stack_info. comparisons:
    host to a list of what container.comparison returned for its roles. A release is due when what runs differs from
    what is specified; a container that is missing on a host that the live release has others on is only started there.
    """
    live = live_record(observations)
    found = {"due": False, "reasons": {}, "previous": live, "unrecorded": [], **placement(slots, live)}
    if not slots:
        return found
    reasons = {
        host: [line for one in entries for line in one["release"]] for host, entries in comparisons.items() if entries
    }
    reasons = {host: lines for host, lines in reasons.items() if lines}
    if live and live["slot"] not in slots:
        reasons.setdefault("all hosts", []).append("slot %s is not in stack_release_slots any more" % live["slot"])
    if not live:
        newest = 0 if journal(observations) else max(slot_releases(observations, stack).values(), default=0)
        why = "has containers of release %d and no record of it" % newest if newest else "is the first release"
        reasons = {host: [why] for host, entries in comparisons.items() if entries}
    if reasons:
        number = live["number"] + 1 if live else first_number(observations, stack)
        slot = next_slot(slots, live, slot_releases(observations, stack), number)
        found.update(due=True, reasons=reasons, number=number, origin=number, slot=slot)
    else:
        found.update(unrecorded=unrecorded(observations, live))
    return found


def kept(slots, observations, stack, web_hosts):
    """Release number to slot of the releases whose containers are on every one of these hosts."""
    found = {}
    for slot in slots:
        numbers = {
            max(
                (
                    container.get("release", 0)
                    for container in observations[host].get("containers", {}).values()
                    if container.get("stack") == stack and container.get("slot") == slot
                ),
                default=0,
            )
            for host in web_hosts
        }
        if len(numbers) == 1 and (number := numbers.pop()):
            found[number] = slot
    return found


def rollback(slots, observations, stack, web_hosts, wanted=0):
    """What a rollback does: as decide, and target, the record of the release that it goes back to.

    wanted: number of a kept release, 0 for the one that was live before. Where edges serve an attempt that never became
    live, since its run was killed, that is the live one. Raises ReleaseError.
    """
    live = live_record(observations)
    if not slots or not live:
        raise ReleaseError(
            "There is no release to go back from: %s."
            % ("nothing was released yet" if slots else "stack_release_slots is empty, so no release is kept")
        )
    available = kept(slots, observations, stack, web_hosts)
    interrupted = switched_further(observations, stack, live)
    known = journal(observations)
    candidates = [
        record
        for record in known
        if record["result"] == "succeeded" and record["kind"] == "release" and record["origin"] != live["origin"]
    ]
    candidates = [record for record in candidates + [live] * interrupted if record["origin"] in available]
    listed = ", ".join("%d (%s)" % (record["origin"], record["image"]) for record in candidates) or "none"
    if not str(wanted).isdigit():
        raise ReleaseError("release: %s is not the number of a release; kept are: %s." % (wanted, listed))
    wanted = int(wanted)
    if wanted:
        chosen = [record for record in candidates if record["origin"] == wanted]
        if wanted == live["origin"] and not interrupted:
            raise ReleaseError("Release %d is live already." % wanted)
        if not chosen:
            raise ReleaseError("Release %d is not kept on all web hosts; kept are: %s." % (wanted, listed))
    else:
        chosen = [record for record in candidates if record["origin"] < live["origin"] + interrupted]
        if not chosen:
            raise ReleaseError(
                "No release before %d is kept on all web hosts; kept are: %s." % (live["origin"], listed)
            )
    target = chosen[-1]
    if problems := migrations.rollback_problems(known, target["origin"], live["number"]):
        raise ReleaseError("\n".join(problems))
    return {
        "due": True,
        "reasons": {host: ["goes back to release %d" % target["origin"]] for host in web_hosts},
        "previous": live,
        "slot": available[target["origin"]],
        "origin": target["origin"],
        "number": live["number"] + 1,
        "target": target,
    }


def retired(observation, stack, role, slot, exclusive=False):
    """Containers of a role that are not in the slot: running ones of other slots (stop), all without one (remove).

    exclusive: only those that never run beside their like, and those without a slot.
    """
    stop, remove = [], []
    for name, container in sorted(observation["containers"].items()):
        if container["stack"] != stack or container["role"] != role or container.get("slot") == slot:
            continue
        if not container.get("slot"):
            remove.append(name)
        elif container["status"] not in ("exited", "created", "dead") and (container["exclusive"] or not exclusive):
            stop.append(name)
    return {"stop": stop, "remove": remove}


def discarded(observation, stack, roles, slot):
    """Containers of the application in a slot, which a failed release leaves."""
    return sorted(
        name
        for name, container in observation["containers"].items()
        if container["stack"] == stack and container["role"] in roles and container.get("slot") == slot
    )


def kept_containers(observation, stack, role, slot, phase):
    """Containers of a role in a slot; phase: beside or exclusive, empty for all."""
    return sorted(
        name
        for name, container in observation["containers"].items()
        if container["stack"] == stack
        and container["role"] == role
        and container.get("slot") == slot
        and (not phase or container["exclusive"] == (phase == "exclusive"))
    )


def stale_images(observation, namespace, wanted):
    """
    Images in a namespace, and in the repositories of what is wanted, that no container on the host uses and nobody
    wants: references by tag, and the ids of those that have none, since docker_image_remove knows no digests.
    """
    images, containers = observation["images"], observation["containers"].values()
    used = {canonical(container["image"]) for container in containers}
    kept = {container["image_id"] for container in containers}
    kept |= {images[reference]["id"] for reference in map(canonical, wanted) if reference in images}
    repositories = set(map(repository, wanted))
    references = {}
    for reference, image in images.items():
        references.setdefault(image["id"], []).append(reference)

    def stale(reference):
        ours = reference.startswith(namespace + "/") or repository(reference) in repositories
        return ours and reference not in used

    found = []
    for image_id in references.keys() - kept:
        tags = [reference for reference in references[image_id] if "@" not in reference]
        if tags:
            found += filter(stale, tags)
        elif all(map(stale, references[image_id])):
            found.append(image_id)
    return sorted(found)


def slot_upstreams(slots, addresses, port):
    """Slot to the list of the one address of web in it, host:port. addresses: slot to address."""
    return {slot: ["%s:%s" % (addresses[slot], port)] for slot in slots}


def fleet_upstreams(slots, hosts, first_port):
    """Slot to web's addresses on all hosts: each publishes the slots at ports of their own, from first_port on."""
    return {slot: ["%s:%d" % (host, int(first_port) + index) for host in hosts] for index, slot in enumerate(slots)}


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


FOLLOWED = "failed on another host"


def failures(told, absent=()):
    """
    Why a release failed, one line per host, causes before what only followed from them; empty when it did not.

    told: host to the message that it failed with, None where a host told nothing. Once another host has failed, that is
    one that was lost. absent: hosts that the run has left out.
    """
    if not any(told.values()):
        return []
    lost = [
        "%s: could not be reached any more" % host for host, text in told.items() if not text and host not in absent
    ]
    causes = ["%s: %s" % (host, text) for host, text in told.items() if text and text != FOLLOWED]
    return causes + lost or [FOLLOWED]


def astray(edges, back, started, absent=()):
    """Edges that may serve a release that failed: they were not seen to go back after the switch may have begun."""
    return [edge for edge in edges if edge not in back and edge not in absent] if started else []


def undone(decision, reasons, back, lost):
    """What became of a release that failed, in sentences. reasons: as failures returns them, lost: as astray does."""
    why = "; ".join(reason.rstrip(".") for reason in reasons)
    previous = decision["previous"]
    if not decision["due"] or not previous:
        return "The run failed; nothing that serves was stopped. %s." % why
    if not lost:
        return "The release failed; release %d serves on all hosts as before. %s." % (previous["number"], why)
    where = "at %s" % ", ".join(back) if back else "at no edge for certain"
    return (
        "The release failed. Release %d serves again %s. %s could not be told and may serve release %d, whose web was "
        "kept for it. Run the same command again when the host can be reached: it goes back there first. %s."
        % (previous["number"], where, ", ".join(lost), decision["number"], why)
    )


def planned(variables, host):
    """Role to what it would do on a host; variables: raw ones of any host, in which role_plan was registered."""
    return {role: hosts[host] for role, hosts in _registered(variables, "roles").items() if host in hosts}


def plan_errors(variables, host):
    """Why roles could not be planned for a host."""
    return _registered(variables, "errors").get(host, [])


def _registered(variables, part):
    result = variables.get("stack_role_plans")
    return (result.get(part) or {}) if isinstance(result, dict) else {}


# What these make, other roles find out only then: networks and an Engine, certificates that services load.
FOUNDATIONS = ("docker_host", "certificates")


def due_roles(roles):
    """Roles that have something to do on any host; roles: role to host to plan, as role_plan returns them."""
    due = [role for role, hosts in roles.items() if any(plan["due"] for plan in hosts.values())]
    return list(roles) if set(due) & set(FOUNDATIONS) else due


def summary(plans):
    """The lines of a plan. plans: host to role to {steps, changes, release} as role_plan returns them."""
    lines = []
    for host, roles in plans.items():
        for role, plan in roles.items():
            lines += ["%s: %s: %s" % (host, role, step) for step in plan["steps"]]
            for change in plan["changes"]:
                # A reload is not noticed.
                held = change["stateful"] and change["action"] not in ("create", "reload")
                flag = " (holds data, which stays; it is away for some seconds)" if held else ""
                text = "%s %s%s: %s" % (change["action"], change["name"], flag, "; ".join(change["reasons"]))
                lines.append("%s: %s: %s" % (host, role, text))
    return lines


def recorded(decision):
    """The line of a plan about hosts that learn which release is live."""
    if not decision.get("unrecorded"):
        return []
    number = decision["previous"]["number"]
    return ["%s: release: record that release %d is live" % (", ".join(decision["unrecorded"]), number)]


def headline(decision):
    """The first lines of a plan with a release: what becomes live where, and why."""
    target, live = decision.get("target"), decision["previous"]
    what = "Rollback to release %d" % target["origin"] if target else "Release %d" % decision["number"]
    lines = ["%s in slot %s%s" % (what, decision["slot"], ", instead of %s" % live["slot"] if live else "")]
    return lines + ["  %s: %s" % (host, text) for host, texts in decision["reasons"].items() for text in texts]
