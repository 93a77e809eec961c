# MIT License (see LICENSE)
"""From a container specification to what has to be done on a host: pure functions, used by the filters."""

from __future__ import annotations

import functools
import hashlib
import json
import os

import yaml
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible.module_utils.common.text.formatters import human_to_bytes

LABEL_PREFIX = "broadcast.stack."
# The first Engine API that checks a starting container more often than a running one.
START_INTERVAL_API = (1, 44)
START_INTERVAL = "1s"
# Keys of a specification that the runner itself turns into something else; all others are docker_container options.
OWN_KEYS = ("files", "secrets", "env", "exceptions", "healthy_wait_timeout")
CONFIG_MOUNT = "/run/config"
SECRETS_MOUNT = "/run/secrets"
# Hardening that a specification may only relax together with a written reason.
GUARDED = {"read_only": True, "capabilities": [], "pids_limit": None, "init": True}


class SpecificationError(ValueError):
    """A specification that would break the policy or cannot be expressed."""


@functools.cache
def schema() -> dict:
    """Argument specification of container_specs, from the role that documents it."""
    roles = os.path.join(os.path.dirname(os.path.dirname(os.path.dirname(__file__))), "roles")
    with open(os.path.join(roles, "container", "meta", "argument_specs.yml"), encoding="utf-8") as stream:
        return yaml.safe_load(stream)["argument_specs"]["specification"]["options"]


def plain(value):
    """A copy without Ansible's lazily templating containers, which the validator's own copy would break."""
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    return value


def validate(specs: list[dict]) -> list[dict]:
    """The specifications with checked keys and converted types."""
    result = ArgumentSpecValidator(schema()).validate({"container_specs": plain(specs)})
    if result.error_messages:
        raise SpecificationError("; ".join(result.error_messages))
    return result.validated_parameters["container_specs"]


def environment_file(name: str, env: dict[str, object], managed: str) -> str:
    """The env file of a container: one KEY=value per line, sorted, below a header that says it is managed."""
    lines = ["# " + managed]
    for key in sorted(env):
        value = str(env[key])
        if "\n" in value:
            raise SpecificationError(
                "%s: env.%s holds a line break, which an env file cannot carry; use files or secrets" % (name, key)
            )
        lines.append("%s=%s" % (key, value))
    return "\n".join(lines) + "\n"


def owner(spec: dict, user_override: str) -> tuple[int, int]:
    """Numeric uid and gid of the container's process."""
    uid, _sep, gid = (user_override or spec["user"]).partition(":")
    if not (uid.isdigit() and (gid or uid).isdigit()):
        raise SpecificationError(
            "%s: user must be numeric uid:gid, since the host has no such names: %r" % (spec["name"], spec["user"])
        )
    return int(uid), int(gid or uid)


def check_exceptions(spec: dict) -> None:
    """Every relaxation of the hardening names its reason."""
    reasons = spec.get("exceptions") or {}
    for key, default in GUARDED.items():
        relaxed = key in spec and default is not None and spec[key] != default
        if relaxed and not str(reasons.get(key, "")).strip():
            raise SpecificationError(
                "%s: %s: %r relaxes the hardening; give the reason in exceptions.%s"
                % (spec["name"], key, spec[key], key)
            )
    if spec["user"].split(":")[0] == "0":
        raise SpecificationError("%s: a container never runs as root; name its image's own uid in user" % spec["name"])
    if not set(spec["name"]) - set("0123456789abcdef"):
        raise SpecificationError(
            "%s: a container name needs a character that no hexadecimal id has, or docker_container may take another "
            "container for it" % spec["name"]
        )


def compact(value: dict) -> dict:
    """Without unset (None) options: argument specs of nested options hand every known key over."""
    return {key: item for key, item in value.items() if item is not None}


def normalise(spec: dict) -> dict:
    """A specification without unset keys, also inside networks and the health check."""
    result = compact(spec)
    if "networks" in result:
        result["networks"] = [compact(network) for network in result["networks"]]
    if "healthcheck" in result:
        result["healthcheck"] = compact(result["healthcheck"])
    return result


def checksum(spec: dict, arguments: dict, managed: str) -> str:
    """sha256 over everything that makes the container: options, env, files and secrets."""
    content = {
        "arguments": arguments,
        "env": environment_file(spec["name"], spec.get("env") or {}, managed),
        "files": spec.get("files") or {},
        "secrets": spec.get("secrets") or {},
    }
    return hashlib.sha256(json.dumps(content, sort_keys=True, default=str).encode()).hexdigest()


def directories(spec: dict, root: str, managed: str, user_override: str, host_uid: int) -> dict[str, dict]:
    """Rendered directories of a container by kind, as rendered_directories takes them."""
    spec = normalise(spec)
    uid, gid = owner(spec, user_override)
    base = os.path.join(root, spec["name"])
    found = {
        "env": {
            "path": base + "/env",
            "files": {"container.env": environment_file(spec["name"], spec.get("env") or {}, managed)},
            # Read by docker_container on the host, not by the container.
            "uid": host_uid,
            "gid": 0 if host_uid == 0 else gid,
            "directory_mode": "0750",
            "mode": "0640",
        }
    }
    if spec.get("files"):
        found["config"] = {
            "path": base + "/config",
            "files": {name: str(text) for name, text in spec["files"].items()},
            "uid": uid,
            "gid": gid,
            "directory_mode": "0755",
            "mode": "0644",
        }
    if spec.get("secrets"):
        found["secrets"] = {
            "path": base + "/secrets",
            "files": {name: str(value) for name, value in spec["secrets"].items()},
            "uid": uid,
            "gid": gid,
            "directory_mode": "0500",
            "mode": "0400",
        }
    return found


def arguments(spec: dict, policy: dict, root: str, user_override: str) -> dict:
    """Options of docker_container: the policy, then the specification, then the mounts of the rendered directories."""
    spec = normalise(spec)
    check_exceptions(spec)
    uid, gid = owner(spec, user_override)
    base = os.path.join(root, spec["name"])
    volumes = list(spec.get("volumes") or [])
    if spec.get("files"):
        volumes.append("%s/config:%s:ro" % (base, CONFIG_MOUNT))
    if spec.get("secrets"):
        volumes.append("%s/secrets:%s:ro" % (base, SECRETS_MOUNT))
    options = {key: value for key, value in spec.items() if key not in OWN_KEYS}
    result = {**policy, **options, "user": "%d:%d" % (uid, gid), "volumes": volumes}
    # Without a swap limit of its own a container may swap twice its memory.
    result.setdefault("memory_swap", result["memory"])
    return result


def file_differences(expected: dict[str, dict], observed: dict[str, dict], base: str) -> list[str]:
    """What differs between wished and observed files below base, named without their content."""
    wished = {
        os.path.join(directory["path"], name): (
            hashlib.sha256(text.encode()).hexdigest(),
            directory["mode"],
            directory["uid"],
            directory["gid"],
        )
        for directory in expected.values()
        for name, text in directory["files"].items()
    }
    kinds = tuple(os.path.join(base, kind) + "/" for kind in ("env", "config", "secrets"))
    present = {path: state for path, state in observed.items() if path.startswith(kinds)}
    found = []
    for path, (digest, mode, uid, gid) in sorted(wished.items()):
        short, state = os.path.relpath(path, base), present.get(path)
        if state is None:
            found.append("%s is missing" % short)
        elif state["sha256"] != digest:
            found.append("%s changed" % short)
        elif (state["mode"], state["uid"], state["gid"]) != (mode, uid, gid):
            found.append("%s has another owner or mode" % short)
    found += ["%s is not ours" % os.path.relpath(path, base) for path in sorted(present) if path not in wished]
    return found


def rendered(specs, root, managed, user_override, host_uid, names=None):
    """Directories of the containers with these names (all without), as rendered_directories takes them.

    Returns {open, secret}, two lists.
    """
    found = {"open": [], "secret": []}
    for spec in plain(specs):
        if names is None or spec["name"] in names:
            for kind, directory in directories(spec, root, managed, user_override, host_uid).items():
                found["secret" if kind == "secrets" else "open"].append(directory)
    return found


def runtime_differences(options: dict, container: dict) -> list[str]:
    """Options that can be changed on an existing container by hand, compared with the Engine's view."""
    found = []
    wished = {
        "memory": human_to_bytes(str(options["memory"]).upper().rstrip("B") + "B"),
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
    """Why this container has to be created or replaced; empty when it is as wished."""
    container = observation["containers"].get(spec["name"])
    if container is None:
        return ["is missing"]
    if not container["checksum"]:
        return ["was not created by this stack"]
    found = file_differences(rendered, observation["files"], os.path.join(root, spec["name"]))
    image = observation["images"].get(spec["image"])
    if container["image"] != spec["image"] or (image and image["id"] != container["image_id"]):
        found.insert(0, "image %s instead of %s" % (spec["image"], container["image"]))
    if container["checksum"] != digest:
        return found or ["specification changed"]
    return found + (runtime_differences(options, container) if container["status"] == "running" else [])


def with_start_interval(options: dict, api_version: str) -> dict:
    """Options whose health check asks every second while the container starts, where the Engine can.

    Not part of the checksum: a newer Engine is no reason to replace a container.
    """
    check = options["healthcheck"]
    known = tuple(int(part) for part in api_version.split(".")) >= START_INTERVAL_API
    if not known or "start_period" not in check:
        return options
    return {**options, "healthcheck": {**check, "start_interval": START_INTERVAL}}


def plan(specs, observation, policy, settings):
    """What differs on a host, in the order of the specifications.

    specs: list of specifications. observation: result of stack_info. policy: docker_container options of every
    container. settings: {stack, root, user, role, managed}. Returns a list of
    {name, image, reasons (list of str), secrets (whether there are any), arguments (of docker_container),
    healthy_wait_timeout (seconds)}; no secret is in it. Raises SpecificationError.
    """
    result = []
    root, user = settings["root"], settings["user"]
    for raw in validate(specs):
        spec = normalise(raw)
        if "healthcheck" not in spec:
            raise SpecificationError("%s: a long-lived container needs a healthcheck" % spec["name"])
        options = arguments(spec, policy, root, user)
        digest = checksum(spec, options, settings["managed"])
        wished = directories(spec, root, settings["managed"], user, observation["host"]["uid"])
        why = reasons(spec, options, digest, wished, observation, root)
        container = observation["containers"].get(spec["name"], {})
        recreate = bool(why) and bool(container)
        if not why and container["status"] != "running":
            why = ["is %s" % container["status"]]
            recreate = container["status"] not in ("exited", "created")
        elif not why and container["health"] != "healthy":
            why = ["is %s" % container["health"]]
            recreate = container["health"] == "unhealthy"
        if not why:
            continue
        labels = {
            **options.get("labels", {}),
            LABEL_PREFIX + "name": settings["stack"],
            LABEL_PREFIX + "role": settings["role"],
            LABEL_PREFIX + "checksum": digest,
        }
        stop_timeout = options.get("stop_timeout", 10)
        result.append(
            {
                "name": spec["name"],
                "image": spec["image"],
                "reasons": why,
                "secrets": "secrets" in wished,
                "healthy_wait_timeout": spec.get("healthy_wait_timeout", 120),
                "arguments": {
                    **with_start_interval(options, observation["engine"].get("api_version", "0")),
                    "labels": labels,
                    "env_file": os.path.join(root, spec["name"], "env", "container.env"),
                    "state": "started",
                    "recreate": recreate,
                    # The Engine answers a stop only when the container is gone.
                    "timeout": stop_timeout + 60,
                    # The checksum label decides; a second comparison could only disagree with it.
                    "comparisons": {"*": "ignore"},
                },
            }
        )
    return result


def surplus(specs, observation, settings):
    """Names of containers of this stack and role that no specification names any more."""
    wished = {spec["name"] for spec in specs}
    return sorted(
        name
        for name, container in observation["containers"].items()
        if container["stack"] == settings["stack"] and container["role"] == settings["role"] and name not in wished
    )


def changes(specs, observation, policy, settings):
    """What has to be done on a host, {run (see plan), remove (names)} in a list; empty when nothing differs.

    The arguments are those of plan. A list, since the items of a loop are templated once, variables at every use.
    """
    found = {
        "run": plan(specs, observation, policy, settings),
        "remove": surplus(specs, observation, settings),
    }
    return [found] if found["run"] or found["remove"] else []


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
