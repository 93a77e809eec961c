# MIT License (see LICENSE)
"""What a run does with the application, decided on the controller: a release, a rollback, or neither."""

from __future__ import annotations

from ansible_collections.broadcast.stack.plugins.plugin_utils.releases import migrations
from ansible_collections.broadcast.stack.plugins.plugin_utils.releases.history import journal, live_record, unrecorded
from ansible_collections.broadcast.stack.plugins.plugin_utils.services import register

FIRST = 1


class ReleaseError(ValueError):
    """Why a release or a rollback cannot be made."""


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
    parts = register.roles("part_of_release")
    if {"all", "tagged"} & set(run_tags) and not set(parts) & set(skip_tags):
        return ""
    return (
        "The application differs from the live release, and a release is made as a whole: %s. Run it without --tags "
        "and without --skip-tags of these; tags are for the other roles, or when no release is due." % ", ".join(parts)
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
    host to a list of what containers.comparison returned for its roles. A release is due when what runs differs from
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
