# MIT License (see LICENSE)
"""Files that a container gets from its specification: directories on the host, and where they are mounted."""

from __future__ import annotations

import hashlib
import os
import re
import shlex

from ansible_collections.broadcast.stack.plugins.plugin_utils.containers.specification import (
    SpecificationError,
    in_slot,
    normalise,
    numeric_owner,
    owner,
    plain,
)

ENV_FILE = "env/container.env"
CONFIG_MOUNT = "/run/config"
SECRETS_MOUNT = "/run/secrets"
# A file with the exports of env_secrets. The shell that reads it becomes the container's command.
SECRET_ENV_FILE = ".environment"
# Folders below the container's own that hold rendered files, and whether their contents are secret.
KINDS = {"env": False, "config": False, "mounted": False, "secrets": True, "mounted_secrets": True}
FILE_KEYS = {"content", "mode", "owner"}
ENVIRONMENT_NAME = re.compile("[A-Za-z_][A-Za-z0-9_]*")


def environment_file(name: str, env: dict[str, object], managed: str) -> str:
    """The env file of a container: one KEY=value per line, sorted, below a header that says it is managed."""
    lines = ["# " + managed]
    for key in sorted(env):
        value = str(env[key])
        if "\n" in value or "\r" in value:
            raise SpecificationError(
                "%s: env.%s holds a line break, and an env file cannot carry one; use files or secrets" % (name, key)
            )
        lines.append("%s=%s" % (key, value))
    return "\n".join(lines) + "\n"


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
        # Only the files are mounted, so nobody has to look into their folders.
        "uid": uid,
        "gid": gid,
        "directory_mode": "0700",
        "mode": mode,
    }


def directories(spec: dict, root: str, managed: str, user_override: str, host_uid: int) -> dict[str, dict]:
    """Rendered directories of a container by kind, as rendered_directories takes them."""
    spec = normalise(spec)
    uid, gid = owner(spec, user_override)
    base = os.path.join(root, spec["name"])
    found = {
        "env": {
            "path": base + "/env",
            "files": {"container.env": environment_file(spec["name"], spec.get("env") or {}, managed)},
            # docker_container reads this file on the host. The container does not.
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


def rendered(specs, settings, host_uid, observed=None, names=None):
    """Directories of the containers with these names (all without), as rendered_directories takes them.

    settings: as in comparison.differences. observed: files on the host; a kind that has some and is to have none is
    emptied. Returns {open, secret}, two lists.
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
