# MIT License (see LICENSE)
"""
The one comparison of what is specified with what was observed on a host: reasons of one container, differences of a
role's containers, and of these what a plan shows (comparison) and what a run does (changes.py).
"""

from __future__ import annotations

import hashlib
import os

from ansible.module_utils.common.text.formatters import human_to_bytes
from ansible_collections.broadcast.stack.plugins.module_utils import image_references, stand_in
from ansible_collections.broadcast.stack.plugins.plugin_utils.containers.docker_options import (
    arguments,
    checksum,
    for_engine,
    with_start_interval,
)
from ansible_collections.broadcast.stack.plugins.plugin_utils.containers.loading import (
    loadable,
    loaded_note,
    loaded_path,
    reloadable,
)
from ansible_collections.broadcast.stack.plugins.plugin_utils.containers.rendering import (
    ENV_FILE,
    KINDS,
    directories,
)
from ansible_collections.broadcast.stack.plugins.plugin_utils.containers.specification import (
    LABEL_PREFIX,
    SpecificationError,
    in_slot,
    plain,
    selected,
)


def environment_changes(before: str, after: str) -> str:
    """Names of the variables that differ between two env files: changed, +added, -removed."""

    def parsed(text: str) -> dict[str, str]:
        return dict(line.split("=", 1) for line in text.splitlines() if "=" in line and not line.startswith("#"))

    old, new = parsed(before), parsed(after)
    names = [name for name in new if name in old and new[name] != old[name]]
    names += ["+" + name for name in new if name not in old] + ["-" + name for name in old if name not in new]
    return ", ".join(sorted(names, key=lambda name: name.lstrip("+-")))


def file_differences(
    expected: dict[str, dict], observed: dict[str, dict], base: str, environment: str | None = None
) -> list[str]:
    """What differs between wished and observed files below base, named without their content.

    environment: the observed env file, for the names of the variables that differ.
    """
    wished = {}
    for directory in expected.values():
        for name, text in directory["files"].items():
            access = {**directory, **directory.get("access", {}).get(name, {})}
            digest = hashlib.sha256(text.encode()).hexdigest()
            wished[os.path.join(directory["path"], name)] = (digest, access["mode"], access["uid"], access["gid"])
    kinds = tuple(os.path.join(base, kind) + "/" for kind in KINDS)
    present = {path: state for path, state in observed.items() if path.startswith(kinds)}
    found = []
    for path, (digest, mode, uid, gid) in sorted(wished.items()):
        short, state = os.path.relpath(path, base), present.get(path)
        if state is None:
            found.append("%s is missing" % short)
        elif state["sha256"] != digest:
            names = ""
            if short == ENV_FILE and environment is not None:
                names = environment_changes(environment, expected["env"]["files"]["container.env"])
            found.append("%s changed%s" % (short, ": " + names if names else ""))
        elif (state["mode"], state["uid"], state["gid"]) != (mode, uid, gid):
            found.append("%s has another owner or mode" % short)
    found += ["%s is not ours" % os.path.relpath(path, base) for path in sorted(present) if path not in wished]
    return found


def foreign(spec: dict, observation: dict, settings: dict) -> str:
    """What on the host has a name of this specification and is somebody else's; empty when nothing is.

    A volume without a label is the stack's when a container of the stack has it. settings: {stack, adopted_volumes}.
    """
    stack, containers = settings["stack"], observation["containers"]
    container = containers.get(spec["name"])
    if container and container["stack"] != stack:
        owner = "of the stack %s" % container["stack"] if container["stack"] else "not of this stack"
        return "%s: a container of this name is on the host and is %s; remove or rename it" % (spec["name"], owner)
    ours = {name for one in containers.values() if one["stack"] == stack for name in one.get("volumes", [])}
    for name in [text.split(":")[0] for text in spec.get("volumes") or []]:
        volume = observation["volumes"].get(name)
        if volume and volume["stack"] != stack and name not in ours and name not in settings.get("adopted_volumes", []):
            owner = "belongs to the stack %s" % volume["stack"] if volume["stack"] else "was not made for this stack"
            return (
                "%s: the volume %s is on the host and %s; remove it, or list it in stack_adopted_volumes when its data "
                "is to be this stack's" % (spec["name"], name, owner)
            )
    return ""


def runtime_differences(options: dict, container: dict) -> list[str]:
    """Options that can be changed on an existing container by hand, compared with the Engine's view."""
    found = []
    wished = {
        "memory": human_to_bytes(options["memory"]),
        "nano_cpus": int(float(options.get("cpus") or 0) * 1e9),
        "pids_limit": options.get("pids_limit") or 0,
        "restart_policy": options["restart_policy"],
    }
    for key, value in wished.items():
        if container[key] != value:
            found.append("%s was changed by hand" % key)
    names = {network["name"] for network in options.get("networks") or []}
    if names and names != set(container["networks"]):
        found.append("networks differ")
    return found


def reasons(spec: dict, options: dict, digest: str, rendered: dict, observation: dict, root: str) -> list[str]:
    """Why this container has to be created or replaced; empty when it is as wished or a reload makes it so."""
    container = observation["containers"].get(spec["name"])
    if container is None:
        return ["is missing"]
    if not container["checksum"]:
        return ["was created by hand"]
    base = os.path.join(root, spec["name"])
    environment = observation.get("environments", {}).get(spec["name"])
    found = file_differences(rendered, observation["files"], base, environment)
    image = observation["images"].get(spec["image"])
    if image_references.canonical(container["image"]) != spec["image"] or (
        image and image["id"] != container["image_id"]
    ):
        found.insert(0, "image %s instead of %s" % (spec["image"], container["image"]))
    if container["checksum"] != digest:
        return found or ["specification changed"]
    if all(reloadable(spec, *text.split(" ")[0].split("/", 1)) for text in found if not text.startswith("image ")):
        found = [text for text in found if text.startswith("image ")]
    return found + (runtime_differences(options, container) if container["status"] == "running" else [])


def reload_reasons(spec: dict, rendered: dict, observation: dict, root: str) -> list[str]:
    """Why a container that is otherwise as wished has to load its files anew."""
    if not spec.get("reload"):
        return []
    found = file_differences(rendered, observation["files"], os.path.join(root, spec["name"]))
    note = loaded_note(loadable(spec), observation["containers"][spec["name"]])
    noted = observation["files"].get(os.path.join(loaded_path(root, spec["name"]), "sha256"), {}).get("sha256")
    unloaded = noted != hashlib.sha256(note.encode()).hexdigest()
    return found or (["has not loaded its files"] if unloaded else [])


def differences(specs, observation, policy, settings):
    """What differs on a host, in the order of the specifications.

    specs: list of specifications. observation: result of stack_info. policy: docker_container options of every
    container. settings: {stack, root, user, role, managed} and for containers in release slots {slot, release (its
    number), phase (beside, exclusive, or empty for both)}. Returns a list of {name, image, stateful, reasons (list of
    str), cause (missing, specification, state or reload), and arguments (of docker_container), healthy_wait_timeout
    (seconds), stand_in (whether a copy serves while it is replaced) or, for a reload, command}; no secret is in it.
    Raises SpecificationError.
    """
    result = []
    root, user = settings["root"], settings["user"]
    for spec in selected(specs, settings):
        if "healthcheck" not in spec:
            raise SpecificationError("%s: a long-lived container needs a healthcheck" % spec["name"])
        if somebodys := foreign(spec, observation, settings):
            raise SpecificationError(somebodys)
        options = arguments(spec, policy, root, user)
        digest = checksum(spec, options, settings["managed"])
        wished = directories(spec, root, settings["managed"], user, observation["host"]["uid"])
        why = reasons(spec, options, digest, wished, observation, root)
        container = observation["containers"].get(spec["name"], {})
        why, cause, recreate = judged(why, container, settings.get("release") or 0)
        found = {"name": spec["name"], "image": spec["image"], "stateful": bool(spec.get("stateful")), "cause": cause}
        if not why:
            why = reload_reasons(spec, wished, observation, root)
            if why:
                command = list(spec["reload"]["command"])
                result.append({**found, "reasons": why, "cause": "reload", "command": command})
            continue
        api = observation["engine"].get("api_version", "0")
        result.append(
            {
                **found,
                "reasons": why,
                # A copy of a container that does not serve would not serve either.
                "stand_in": spec.get("stand_in") is not None and recreate and serves(container),
                "healthy_wait_timeout": spec.get("healthy_wait_timeout", 120),
                "arguments": {
                    **for_engine(with_start_interval(options, api), api),
                    "labels": labels(spec, options, digest, settings),
                    "env_file": os.path.join(root, spec["name"], "env", "container.env"),
                    "state": "started",
                    "recreate": recreate,
                    # The Engine answers a stop only when the container has stopped.
                    "timeout": options.get("stop_timeout", 10) + 60,
                    # The checksum label decides; a second comparison could only disagree with it.
                    "comparisons": {"*": "ignore"},
                },
            }
        )
    return result


def judged(why, container, release):
    """Reasons, cause, and whether the container is made anew; no reason when it is as wished or a reload makes it so.

    why: reasons of its specification. container: as observed, empty when there is none. release: number, 0 for none.
    """
    if container and release and container.get("release") != release:
        other = "belongs to release %d" % container["release"] if container.get("release") else "is of no release"
        return [*why, other], "missing", True
    if why:
        return why, "specification" if container else "missing", bool(container)
    if container["status"] != "running":
        return ["is %s" % container["status"]], "state", container["status"] not in ("exited", "created")
    if container["health"] != "healthy":
        return ["is %s" % container["health"]], "state", container["health"] == "unhealthy"
    return [], "state", False


def labels(spec, options, digest, settings):
    """Labels by which later runs know a container."""
    found = {
        **options.get("labels", {}),
        LABEL_PREFIX + "name": settings["stack"],
        LABEL_PREFIX + "role": settings["role"],
        LABEL_PREFIX + "checksum": digest,
    }
    if settings.get("slot"):
        release = settings.get("release") or 0
        found.update({LABEL_PREFIX + "slot": settings["slot"], LABEL_PREFIX + "release": str(release)})
    # Without slots as well: when the container moves to another host, it is stopped here before it starts there.
    if spec.get("exclusive"):
        found[LABEL_PREFIX + "exclusive"] = "1"
    return found


def serves(container):
    return container["status"] == "running" and container["health"] == "healthy"


def stand_ins(observation, settings):
    """Names of the role's containers that a copy stands in for, from a run that did not end."""
    return sorted(
        container["stand_in"]
        for container in observation["containers"].values()
        if container.get("stand_in")
        and container["stack"] == settings["stack"]
        and container["role"] == settings["role"]
    )


def surplus(specs, observation, settings):
    """Names of the stack's containers of a role that nothing specifies any more; only of the slot when there is one.

    Without stand-ins, which are removed when what they stand in for serves.
    """
    slot = settings.get("slot", "")
    wished = {in_slot(spec, slot)["name"] for spec in plain(specs)}
    return sorted(
        name
        for name, container in observation["containers"].items()
        if container["stack"] == settings["stack"]
        and container["role"] == settings["role"]
        and (not slot or container.get("slot") == slot)
        and not container.get("stand_in")
        and name not in wished
    )


def comparison(specs, observation, policy, settings):
    """What a plan shows of one role's containers on a host.

    Returns {changes: list of {name, action (create, replace, start, reload, remove), stateful, reasons}, release (list
    of str)}; release says why a new release is due: what runs and belongs to the live release is not replaced in place.
    """
    found, release = [], []
    slotted = bool(settings.get("slot"))
    for change in differences(specs, observation, policy, settings):
        container = observation["containers"].get(change["name"])
        running = bool(container) and container["status"] == "running"
        if slotted and change["cause"] == "specification" and running:
            release += ["%s: %s" % (change["name"], text) for text in change["reasons"]]
        actions = {"reload": "reload", "missing": "replace" if container else "create", "specification": "replace"}
        replaced = change.get("arguments", {}).get("recreate")
        found.append(
            {
                "name": change["name"],
                "action": actions.get(change["cause"], "replace" if replaced else "start"),
                "stateful": change["stateful"],
                "reasons": change["reasons"],
            }
        )
    found += [
        {"name": name, "action": "remove", "stateful": False, "reasons": ["is not specified any more"]}
        for name in surplus(specs, observation, settings)
    ]
    found += [
        {
            "name": stand_in.container_name(name),
            "action": "remove",
            "stateful": False,
            "reasons": ["stands in for %s since a run that did not end" % name],
        }
        for name in stand_ins(observation, settings)
    ]
    return {"changes": found, "release": release}
