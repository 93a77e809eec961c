# MIT License (see LICENSE)
"""Containers and images of other releases than the live one: what stops, what goes, what is kept."""

from __future__ import annotations

from ansible_collections.broadcast.stack.plugins.module_utils.image_references import canonical, repository
from ansible_collections.broadcast.stack.plugins.plugin_utils.services import register


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
        and container["role"] in register.roles("slots")
        and container.get("slot")
        and container.get("release") != live["origin"]
        and container["status"] not in ("exited", "created", "dead")
        and name != "%s-%s" % (web, container["slot"])
    )


def retired(observation, stack, roles, slot, exclusive=False, draining=False):
    """Containers of roles that are not in the slot: running ones of other slots (stop), all without one (remove).

    exclusive: only those that never run beside their like, and those without a slot. Those that have been told to end
    and finish by themselves are left alone until their time is over, or are to be waited for (draining).
    """
    stop, remove = [], []
    for name, container in sorted(observation["containers"].items()):
        if container["stack"] != stack or container["role"] not in roles or container.get("slot") == slot:
            continue
        if not container.get("slot"):
            remove.append(name)
        elif container.get("draining") and not draining:
            continue
        elif container["status"] not in ("exited", "created", "dead") and (container["exclusive"] or not exclusive):
            stop.append(name)
    return {"stop": stop, "remove": remove}


def draining(observation, stack, slot):
    """Containers in a slot that finish by themselves what they do, each with a sentence about it."""
    return {
        name: "slot %s is that of this release, and %s may finish there until %s" % (slot, name, container["draining"])
        for name, container in sorted(observation["containers"].items())
        if slot and container["stack"] == stack and container.get("slot") == slot and container.get("draining")
    }


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
