# MIT License (see LICENSE)
"""What has to be done on a host: the differences, with all that the tasks of the role need for them."""

from __future__ import annotations

import os

from ansible_collections.broadcast.stack.plugins.plugin_utils.containers.comparison import (
    differences,
    foreign,
    stand_ins,
    surplus,
)
from ansible_collections.broadcast.stack.plugins.plugin_utils.containers.docker_options import arguments, for_engine
from ansible_collections.broadcast.stack.plugins.plugin_utils.containers.loading import loadable
from ansible_collections.broadcast.stack.plugins.plugin_utils.containers.rendering import rendered
from ansible_collections.broadcast.stack.plugins.plugin_utils.containers.specification import (
    LABEL_PREFIX,
    SpecificationError,
    in_slot,
    normalise,
    numeric_owner,
    owner,
    plain,
    selected,
    validate,
)


def missing_volumes(specs: list[dict], observation: dict, settings: dict) -> list[dict]:
    """Named volumes that are not there yet: name, and uid, gid and mode when a specification gives them.

    Without them Docker gives a new volume the owner and mode of the image's directory at its mount point. A volume of
    root's that is to be somebody else's was created by a run that ended there.
    """
    found = {}
    for spec in specs:
        for name in [text.split(":")[0] for text in spec.get("volumes") or []]:
            if name.startswith(("/", ".", "~")):
                continue
            entry = {"name": name}
            access = (spec.get("volume_access") or {}).get(name)
            # Only root may give files away; an unprivileged developer's volumes are his anyway.
            if access is not None and observation["host"]["uid"] == 0:
                where = "%s: owner of volume %s" % (spec["name"], name)
                uid, gid = numeric_owner(settings["user"] or access.get("owner") or spec["user"], where)
                entry.update(uid=uid, gid=gid, mode=str(access.get("mode") or "0755"))
            present = observation["volumes"].get(name)
            if present is None or ("uid" in entry and present.get("uid") == 0 != entry["uid"]):
                found[name] = {**found.get(name, {}), **entry}
    return list(found.values())


def left(names, specs):
    """{name, leave (command)} of containers that copies serve for, as container_stand_in takes them."""
    leaves = {spec["name"]: (spec.get("stand_in") or {}).get("leave") or [] for spec in specs}
    return [{"name": name, "leave": leaves.get(name, [])} for name in names]


def changes(specs, observation, policy, settings):
    """What has to be done on a host, in a list; empty for nothing.

    Its item is {run, reload (see differences), remove (names), begin_stand_ins, end_stand_ins (see left), volumes,
    rendered (see rendered; holds secrets), loadable (see loaded)}. The arguments are those of differences. A list,
    since the items of a loop are templated once, variables at every use: evaluating the specifications of a role takes
    longer than most of what is then done with them.
    """
    planned = differences(specs, observation, policy, settings)
    run = [change for change in planned if change["cause"] != "reload"]
    names = [change["name"] for change in run]
    written = [change["name"] for change in planned]
    slotted = [in_slot(spec, settings.get("slot", "")) for spec in plain(specs)]
    begin = [change["name"] for change in run if change["stand_in"]]
    found = {
        "run": run,
        "reload": [change for change in planned if change["cause"] == "reload"],
        "rendered": rendered(specs, settings, observation["host"]["uid"], observation["files"], written),
        "loadable": [
            {
                "name": spec["name"],
                "digest": loadable(spec),
                "gid": 0 if observation["host"]["uid"] == 0 else owner(spec, settings["user"])[1],
            }
            for spec in selected(specs, settings)
            if spec.get("reload") and spec["name"] in written
        ],
        "remove": surplus(specs, observation, settings),
        "begin_stand_ins": left(begin, slotted),
        "end_stand_ins": left(sorted({*begin, *stand_ins(observation, settings)}), slotted),
        "volumes": missing_volumes([spec for spec in slotted if spec["name"] in names], observation, settings),
    }
    return [found] if any(found[kind] for kind in ("run", "reload", "remove", "end_stand_ins")) else []


def oneshot(spec, policy, settings):
    """Arguments of docker_container for a container that runs once and whose output and exit code count."""
    spec = normalise(spec)
    options = arguments(spec, {**policy, "restart_policy": "no"}, settings["root"], settings["user"])
    options.pop("healthcheck", None)
    labels = {LABEL_PREFIX + "name": settings["stack"], LABEL_PREFIX + "role": settings["role"] + "-run"}
    return {
        **options,
        "labels": {**options.get("labels", {}), **labels},
        "env_file": os.path.join(settings["root"], spec["name"], "env", "container.env"),
        "state": "started",
        "recreate": True,
        "detach": False,
        "cleanup": True,
        "comparisons": {"*": "ignore"},
    }


def one_run(spec, observation, policy, settings, timeout):
    """What a container that runs once needs, as the only item of a list (see changes).

    {name, rendered (see rendered; holds secrets), volumes, arguments (of docker_container)}. timeout: seconds.
    """
    settings = {**settings, "slot": ""}
    (spec,) = validate([spec])
    if somebodys := foreign(spec, observation, settings):
        raise SpecificationError(somebodys)
    return [
        {
            "name": spec["name"],
            "rendered": rendered([spec], settings, observation["host"]["uid"]),
            "volumes": missing_volumes([spec], observation, settings),
            "arguments": {
                **for_engine(oneshot(spec, policy, settings), observation["engine"].get("api_version", "0")),
                "timeout": timeout,
            },
        }
    ]
