# MIT License (see LICENSE)
"""From a container specification to what has to be done on a host: pure functions, used by the filters."""

from __future__ import annotations

import fnmatch
import functools
import hashlib
import json
import os
import pathlib
import re
import shlex

import yaml
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible.module_utils.common.text.formatters import human_to_bytes
from ansible_collections.broadcast.stack.plugins.module_utils import firewall, image_references, stand_in
from ansible_collections.broadcast.stack.plugins.plugin_utils.services import values

ROLES = pathlib.Path(__file__).resolve().parents[3] / "roles"
LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
LABEL_PREFIX = "broadcast.stack."
ENV_FILE = "env/container.env"
# The roles' checks are half a minute apart, for each starts a process and a small host runs ten containers and more. A
# starting container is asked every second, where the Engine can; where it cannot, more often than that at all times.
START_INTERVAL_API = (1, 44)
# An Engine before that takes one hardware address, for the first network.
HARDWARE_ADDRESS_API = (1, 44)
START_INTERVAL = "1s"
INTERVAL = "30s"
INTERVAL_WITHOUT_START_INTERVAL = "10s"
# Keys of a specification that the runner itself turns into something else; all others are docker_container options.
OWN_KEYS = (
    "files",
    "secrets",
    "env_secrets",
    "env",
    "exceptions",
    "exclusive",
    "healthy_wait_timeout",
    "reload",
    "stand_in",
    "stateful",
    "volume_access",
)
SIZES = ("memory", "shm_size")
CONFIG_MOUNT = "/run/config"
SECRETS_MOUNT = "/run/secrets"
# Exports of env_secrets, read by the shell that then becomes the container's command.
SECRET_ENV_FILE = ".environment"
SECRET_ENV_COMMAND = ["sh", "-c", '. %s/%s; exec "$@"' % (SECRETS_MOUNT, SECRET_ENV_FILE), "sh"]
# Folders below the container's own that hold rendered files, and whether their contents are secret.
KINDS = {"env": False, "config": False, "mounted": False, "secrets": True, "mounted_secrets": True}
FILE_KEYS = {"content", "mode", "owner"}
ENVIRONMENT_NAME = re.compile("[A-Za-z_][A-Za-z0-9_]*")
# Hardening that a specification may only relax together with a written reason.
GUARDED = {"read_only": True, "capabilities": [], "pids_limit": None, "init": True}


class SpecificationError(ValueError):
    """A specification that would break the policy or cannot be expressed."""


@functools.cache
def schema() -> dict:
    """Argument specification of container_specs, from the role that documents it."""
    with (ROLES / "container" / "meta" / "argument_specs.yml").open(encoding="utf-8") as stream:
        return yaml.load(stream, Loader=LOADER)["argument_specs"]["specification"]["options"]


def plain(value):
    """A copy without Ansible's lazily templating containers, which the validator's own copy would break."""
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    return value


def in_slot(spec: dict, slot: str) -> dict:
    """The specification of a container in a release slot, which runs beside those of the same service in other slots.

    Its name carries the slot, its own name becomes an alias in its networks, and a network's slot_addresses give its
    fixed address. Without a slot these are dropped.
    """
    networks = []
    for network in spec.get("networks") or []:
        network = dict(network)
        addresses = network.pop("slot_addresses", None) or {}
        if slot:
            if addresses.get(slot):
                network["ipv4_address"] = addresses[slot]
            network["aliases"] = sorted({*(network.get("aliases") or []), spec["name"]})
        networks.append(network)
    name = "%s-%s" % (spec["name"], slot) if slot else spec["name"]
    return {**spec, "name": name, **({"networks": networks} if "networks" in spec else {})}


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
        if "\n" in value or "\r" in value:
            raise SpecificationError(
                "%s: env.%s holds a line break, which an env file cannot carry; use files or secrets" % (name, key)
            )
        lines.append("%s=%s" % (key, value))
    return "\n".join(lines) + "\n"


def trailing_blanks(env: dict[str, object]) -> dict[str, str]:
    """Variables that are handed over beside the env file, whose reader takes blanks from the ends of lines."""
    return {key: text for key, value in env.items() if (text := str(value)) != text.rstrip()}


def owner(spec: dict, user_override: str) -> tuple[int, int]:
    """Numeric uid and gid of the container's process."""
    return numeric_owner(user_override or spec["user"], "%s: user" % spec["name"])


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
    if spec["user"].split(":")[0] == "0" and not str(reasons.get("user", "")).strip():
        raise SpecificationError(
            "%s: a container never runs as root without a reason in exceptions.user; name its image's own uid in user"
            % spec["name"]
        )
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
    # The one spelling that is looked up among the host's images; docker_container finds no other with a digest.
    result["image"] = image_references.canonical(result["image"])
    if "networks" in result:
        result["networks"] = [compact(network) for network in result["networks"]]
    if "healthcheck" in result:
        result["healthcheck"] = compact(result["healthcheck"])
    return result


def numeric_owner(text: str, where: str) -> tuple[int, int]:
    """uid and gid of a text "uid:gid" (or "uid", whose group has the same number)."""
    uid, _sep, gid = str(text).partition(":")
    if not (uid.isdigit() and (gid or uid).isdigit()):
        raise SpecificationError("%s must be numeric uid:gid, since the host has no such names: %r" % (where, text))
    return int(uid), int(gid or uid)


def secret_environment(spec: dict) -> str:
    """Shell text that exports the secret variables."""
    lines = []
    for name, value in sorted(spec["env_secrets"].items()):
        if not ENVIRONMENT_NAME.fullmatch(str(name)):
            raise SpecificationError("%s: env_secrets.%s is no name of a variable" % (spec["name"], name))
        lines.append("export %s=%s" % (name, shlex.quote(str(value))))
    return "\n".join(lines) + "\n"


def parts(contents: dict) -> tuple[dict, dict]:
    """Files of the directory that is mounted as a whole, and those at absolute paths, which are mounted one by one."""
    found = {path: value for path, value in contents.items() if str(path).startswith("/")}
    return {path: value for path, value in contents.items() if path not in found}, found


def mounted_name(path: str) -> str:
    """Relative path of a single mounted file on the host: its own folder, so that equal names do not meet."""
    return "%s/%s" % (hashlib.sha256(path.encode()).hexdigest()[:12], os.path.basename(path))


def all_secrets(spec: dict) -> dict:
    """The secrets of a specification and the file that its secret variables are exported from."""
    secrets = dict(spec.get("secrets") or {})
    if spec.get("env_secrets"):
        secrets[SECRET_ENV_FILE] = secret_environment(spec)
    return secrets


def mounted_directory(spec: dict, contents: dict, path: str, mode: str, uid: int, gid: int, override: str) -> dict:
    """A folder with files that are mounted one by one, each with an owner and mode of its own."""
    files, access = {}, {}
    for target, value in contents.items():
        where = "%s: file %s" % (spec["name"], target)
        entry = value if isinstance(value, dict) else {"content": value}
        unknown = set(entry) - FILE_KEYS
        if unknown or "content" not in entry:
            raise SpecificationError(
                "%s: give the text, or a dictionary of content, mode and owner%s"
                % (where, ", without %s" % ", ".join(sorted(unknown)) if unknown else "")
            )
        name = mounted_name(target)
        files[name] = str(entry["content"])
        own = numeric_owner(entry["owner"], where + ": owner") if entry.get("owner") and not override else (uid, gid)
        access[name] = {"uid": own[0], "gid": own[1], "mode": str(entry.get("mode") or mode)}
    return {
        "path": path,
        "files": files,
        "access": access,
        # Only the files are mounted; nobody has to look into their folders.
        "uid": uid,
        "gid": gid,
        "directory_mode": "0700",
        "mode": mode,
    }


def reloadable(spec: dict, kind: str, name: str) -> bool:
    """Whether a running container can load a rendered file anew. Files at absolute paths cannot: see mounts."""
    patterns = (spec.get("reload") or {}).get("paths") or []
    return not name.startswith("/") and any(fnmatch.fnmatch("%s/%s" % (kind, name), one) for one in patterns)


def digest_of(content: object) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True, default=str).encode()).hexdigest()


def split_contents(spec: dict) -> tuple[dict, dict]:
    """Contents that need a new container when they change, and those that are reloaded: {kind: {name: text}}."""
    fixed, loaded = {}, {}
    for kind, contents in (("config", spec.get("files") or {}), ("secrets", all_secrets(spec))):
        loaded[kind] = {name: text for name, text in contents.items() if reloadable(spec, kind, str(name))}
        fixed[kind] = {name: text for name, text in contents.items() if name not in loaded[kind]}
    return fixed, loaded


def checksum(spec: dict, arguments: dict, managed: str) -> str:
    """sha256 over everything that makes the container: options, env, files and secrets, but what it can reload."""
    fixed, _loaded = split_contents(spec)
    return digest_of(
        {
            "arguments": arguments,
            "env": environment_file(spec["name"], spec.get("env") or {}, managed),
            "files": fixed["config"],
            "secrets": fixed["secrets"],
        }
    )


def loadable(spec: dict) -> str:
    """Checksum of the files that a container can load anew."""
    return digest_of(split_contents(spec)[1])


def loaded_note(digest: str, container: dict) -> str:
    """What is noted on the host when a container runs with its loadable files: their checksum, and its id."""
    return digest_of([digest, container["id"]])


def loaded_path(root: str, name: str) -> str:
    return os.path.join(root, name, "state", "loaded")


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
    for kind, contents, directory_mode, mode in (
        ("config", spec.get("files") or {}, "0755", "0644"),
        ("secrets", all_secrets(spec), "0500", "0400"),
    ):
        inside, mounted = parts(contents)
        shaped = [name for name, value in inside.items() if isinstance(value, dict)]
        if shaped:
            raise SpecificationError(
                "%s: file %s: content, mode and owner are for files at absolute paths; give the text"
                % (spec["name"], shaped[0])
            )
        if inside:
            found[kind] = {
                "path": "%s/%s" % (base, kind),
                "files": {name: str(text) for name, text in inside.items()},
                "uid": uid,
                "gid": gid,
                "directory_mode": directory_mode,
                "mode": mode,
            }
        if mounted:
            single = "mounted_secrets" if KINDS[kind] else "mounted"
            found[single] = mounted_directory(spec, mounted, "%s/%s" % (base, single), mode, uid, gid, user_override)
    return found


def mounts(spec: dict, root: str) -> list[str]:
    """Bind mounts of the rendered files."""
    base = os.path.join(root, spec["name"])
    found = []
    for kind, contents, target in (
        ("config", spec.get("files") or {}, CONFIG_MOUNT),
        ("secrets", all_secrets(spec), SECRETS_MOUNT),
    ):
        inside, mounted = parts(contents)
        if inside:
            found.append("%s/%s:%s:ro" % (base, kind, target))
        single = "mounted_secrets" if KINDS[kind] else "mounted"
        found += ["%s/%s/%s:%s:ro" % (base, single, mounted_name(path), path) for path in mounted]
    return found


def with_own_access(volume: str, spec: dict, user_override: str) -> str:
    """A volume whose owner and mode are ours to decide, not those of the image's directory at its mount point."""
    name, target, *options = volume.split(":")
    if name not in (spec.get("volume_access") or {}) or user_override:
        return volume
    return "%s:%s:%s" % (name, target, ",".join([*options, "nocopy"]))


def with_sizes(tmpfs: list[str], memory: str) -> list[str]:
    """Memory file systems, each with a size: those without one share half of the container's memory.

    Whoever fills one is told that it is full. Without a size the kernel kills the container's process.
    """
    open_ended = [text for text in tmpfs if not re.search(r"[:,]size=", text)]
    size = human_to_bytes(memory) // 2 // max(len(open_ended), 1)
    return [text + (",size=%d" if ":" in text else ":size=%d") % size if text in open_ended else text for text in tmpfs]


def readable_size(value: object, where: str) -> str:
    """
    A size as docker_container reads it, which knows neither 512mb nor 512MiB. A spelling that it reads stays: it is
    part of the checksum.
    """
    try:
        human_to_bytes(value)
    except ValueError:
        amount = values.size(value)
        if amount is None:
            raise SpecificationError("%s: %r is not a size; write for example 512m" % (where, value)) from None
        return "%d" % amount
    return str(value)


def arguments(spec: dict, policy: dict, root: str, user_override: str) -> dict:
    """Options of docker_container: the policy, then the specification, then the mounts of the rendered directories."""
    spec = normalise(spec)
    check_exceptions(spec)
    uid, gid = owner(spec, user_override)
    volumes = [with_own_access(text, spec, user_override) for text in spec.get("volumes") or []] + mounts(spec, root)
    options = {key: value for key, value in spec.items() if key not in OWN_KEYS}
    if spec.get("env_secrets"):
        if not spec.get("command"):
            raise SpecificationError("%s: env_secrets needs a command, which gets the variables" % spec["name"])
        options["command"] = SECRET_ENV_COMMAND + list(spec["command"])
    result = {**policy, **options, "user": "%d:%d" % (uid, gid), "volumes": volumes}
    for key in SIZES:
        if result.get(key):
            result[key] = readable_size(result[key], "%s: %s" % (spec["name"], key))
    # Without cpus, and not with 0, which the module hands on.
    if not result.get("cpus"):
        result.pop("cpus", None)
    if kept := trailing_blanks(spec.get("env") or {}):
        result["env"] = kept
    if result.get("networks"):
        result["networks"] = with_hardware_addresses(spec["name"], result["networks"])
    if result.get("tmpfs"):
        result["tmpfs"] = with_sizes(result["tmpfs"], result["memory"])
    # Without a swap limit of its own a container may swap twice its memory.
    result.setdefault("memory_swap", result["memory"])
    return result


def with_hardware_addresses(name: str, networks: list[dict]) -> list[dict]:
    """Networks with the address by which the packet filter knows a container that has no way out."""
    found = []
    for index, network in enumerate(networks):
        network = dict(network)
        if network.pop("inward", False):
            if index:
                raise SpecificationError("%s: only the first of its networks can be inward" % name)
            network["mac_address"] = firewall.inward_address(name)
        found.append(network)
    return found


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


def rendered(specs, settings, host_uid, observed=None, names=None):
    """Directories of the containers with these names (all without), as rendered_directories takes them.

    settings: as in plan. observed: files on the host; a kind that has some and is to have none is emptied. Returns
    {open, secret}, two lists.
    """
    root, managed, user_override = settings["root"], settings["managed"], settings["user"]
    found = {"open": [], "secret": []}
    for raw in plain(specs):
        spec = in_slot(raw, settings.get("slot", ""))
        if names is None or spec["name"] in names:
            wished = directories(spec, root, managed, user_override, host_uid)
            for kind, secret in KINDS.items():
                path = os.path.join(root, spec["name"], kind)
                if kind not in wished and any(name.startswith(path + "/") for name in observed or {}):
                    empty = {"uid": host_uid, "gid": wished["env"]["gid"], "directory_mode": "0700", "mode": "0600"}
                    wished[kind] = {"path": path, "files": {}, **empty}
                if kind in wished:
                    found["secret" if secret else "open"].append(wished[kind])
    return found


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


def with_start_interval(options: dict, api_version: str) -> dict:
    """Options whose health check soon sees that a container has started.

    Not part of the checksum: a newer Engine is no reason to replace a container.
    """
    check = options["healthcheck"]
    if "start_period" not in check:
        return options
    if parsed_version(api_version) >= START_INTERVAL_API:
        return {**options, "healthcheck": {**check, "start_interval": START_INTERVAL}}
    if check.get("interval") == INTERVAL:
        return {**options, "healthcheck": {**check, "interval": INTERVAL_WITHOUT_START_INTERVAL}}
    return options


def for_engine(options: dict, api_version: str) -> dict:
    """Options as an Engine takes them that knows this version of its interface; as above, no reason to replace."""
    networks = options.get("networks") or []
    if not any("mac_address" in network for network in networks) or parsed_version(api_version) >= HARDWARE_ADDRESS_API:
        return options
    first = dict(networks[0])
    return {**options, "mac_address": first.pop("mac_address"), "networks": [first, *networks[1:]]}


def parsed_version(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.split("."))


def selected(specs, settings):
    """The validated specifications of a phase, in the slot: exclusive ones, those that run beside others, or all."""
    phase = settings.get("phase", "")
    found = [normalise(spec) for spec in validate(specs)]
    found = [spec for spec in found if not phase or bool(spec.get("exclusive")) == (phase == "exclusive")]
    return [in_slot(spec, settings.get("slot", "")) for spec in found]


def plan(specs, observation, policy, settings):
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
        recreate = bool(why) and bool(container)
        cause = "specification" if container else "missing"
        release = settings.get("release") or 0
        if container and release and container.get("release") != release:
            why.append(
                "belongs to release %d" % container["release"] if container.get("release") else "is of no release"
            )
            recreate, cause = True, "missing"
        if not why:
            cause = "state"
            if container["status"] != "running":
                why = ["is %s" % container["status"]]
                recreate = container["status"] not in ("exited", "created")
            elif container["health"] != "healthy":
                why = ["is %s" % container["health"]]
                recreate = container["health"] == "unhealthy"
        found = {"name": spec["name"], "image": spec["image"], "stateful": bool(spec.get("stateful")), "cause": cause}
        if not why:
            why = reload_reasons(spec, wished, observation, root)
            if why:
                command = list(spec["reload"]["command"])
                result.append({**found, "reasons": why, "cause": "reload", "command": command})
            continue
        labels = {
            **options.get("labels", {}),
            LABEL_PREFIX + "name": settings["stack"],
            LABEL_PREFIX + "role": settings["role"],
            LABEL_PREFIX + "checksum": digest,
        }
        if settings.get("slot"):
            labels.update({LABEL_PREFIX + "slot": settings["slot"], LABEL_PREFIX + "release": str(release)})
        # Also without slots: when it moves to another host it is stopped here before it starts there.
        if spec.get("exclusive"):
            labels[LABEL_PREFIX + "exclusive"] = "1"
        stop_timeout, api = options.get("stop_timeout", 10), observation["engine"].get("api_version", "0")
        result.append(
            {
                **found,
                "reasons": why,
                # A copy of one that does not serve would not either.
                "stand_in": spec.get("stand_in") is not None and recreate and serves(container),
                "healthy_wait_timeout": spec.get("healthy_wait_timeout", 120),
                "arguments": {
                    **for_engine(with_start_interval(options, api), api),
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


def left(names, specs):
    """{name, leave (command)} of containers that copies serve for, as container_stand_in takes them."""
    leaves = {spec["name"]: (spec.get("stand_in") or {}).get("leave") or [] for spec in specs}
    return [{"name": name, "leave": leaves.get(name, [])} for name in names]


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


def changes(specs, observation, policy, settings):
    """What has to be done on a host, in a list; empty for nothing.

    Its item is {run, reload (see plan), remove (names), begin_stand_ins, end_stand_ins (see left), volumes, rendered
    (see rendered; holds secrets), loadable (see loaded)}. The arguments are those of plan. A list, since the items of a
    loop are templated once, variables at every use: evaluating the specifications of a role takes longer than most of
    what is then done with them.
    """
    planned = plan(specs, observation, policy, settings)
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


def loaded(entries, observation, root):
    """Directories with the notes that containers run with their loadable files. entries: {name, digest, gid}."""
    return [
        {
            "path": loaded_path(root, entry["name"]),
            "files": {"sha256": loaded_note(entry["digest"], container)},
            "uid": observation["host"]["uid"],
            "gid": entry["gid"],
        }
        for entry in entries
        if (container := observation["containers"].get(entry["name"]))
    ]


def comparison(specs, observation, policy, settings):
    """What a plan shows of one role's containers on a host.

    Returns {changes: list of {name, action (create, replace, start, reload, remove), stateful, reasons}, release (list
    of str)}; release says why a new release is due: what runs and belongs to the live release is not replaced in place.
    """
    found, release = [], []
    slotted = bool(settings.get("slot"))
    for change in plan(specs, observation, policy, settings):
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
