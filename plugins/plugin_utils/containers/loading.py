# MIT License (see LICENSE)
"""Files that a running container can load anew, and the note on the host that it has."""

from __future__ import annotations

import fnmatch
import hashlib
import json
import os

from ansible_collections.broadcast.stack.plugins.plugin_utils.containers.rendering import all_secrets


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


def loadable(spec: dict) -> str:
    """Checksum of the files that a container can load anew."""
    return digest_of(split_contents(spec)[1])


def loaded_note(digest: str, container: dict) -> str:
    """What is noted on the host when a container runs with its loadable files: their checksum, and its id."""
    return digest_of([digest, container["id"]])


def loaded_path(root: str, name: str) -> str:
    return os.path.join(root, name, "state", "loaded")


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
