# MIT License (see LICENSE)
"""What has to be built, and whether hosts hold the same: the arithmetic of the role images."""

from __future__ import annotations

import ast
import posixpath
import shlex
from collections.abc import Iterable, Mapping

from ansible.errors import AnsibleFilterError
from ansible_collections.broadcast.stack.plugins.module_utils import image_references


def image_builds(catalog: Mapping[str, Mapping], wanted: Iterable[str], present: Iterable[str]) -> list[dict]:
    """The images to build, parents first: what is wanted and not present, and the parents that this takes.

    A builder is built again whenever anything of it is: it carries the mirrors and certificates of this run. Its layers
    are cached, so that costs nothing when they are the same.
    """
    present = set(present)
    needed: set[str] = set()

    def need(name: str) -> None:
        if name in needed or (catalog[name]["reference"] in present and not name.endswith("builder")):
            return
        needed.add(name)
        for parent in catalog[name]["parents"]:
            need(parent)

    for name in wanted:
        need(name)
    return [{"name": name, **image} for name, image in catalog.items() if name in needed]


def image_differences(hosts: Mapping[str, Mapping[str, Mapping]], references: Iterable[str]) -> list[str]:
    """One line for every reference that is not the same image on all hosts that have it."""
    lines = []
    for reference in references:
        holders: dict[str, list[str]] = {}
        for host, images in hosts.items():
            if reference in images:
                holders.setdefault(images[reference]["id"], []).append(host)
        if len(holders) > 1:
            told = "; ".join(f"{image} on {', '.join(names)}" for image, names in sorted(holders.items()))
            lines.append(f"{reference}: {told}")
    return lines


def build_failure(message: str, lines: int = 40) -> str:
    """The reason and the last lines of the log, from the message that docker_image fails with."""
    reason, _separator, rest = message.partition(", logs: ")
    try:
        log = [line.rstrip() for line in ast.literal_eval(rest) if line.strip()]
    except (SyntaxError, ValueError):
        return message
    return "\n".join([reason.partition("message: ")[2] or reason, *("  " + line for line in log[-lines:])])


def shell_pairs(variables: Mapping[str, object]) -> str:
    """NAME=value pairs, quoted as a shell reads them, in one line."""
    return " ".join(f"{name}={shlex.quote(str(value))}" for name, value in variables.items())


def home_files(home: Mapping[str, str]) -> list[dict[str, str]]:
    """The files of a home folder as settings of the builder: name below its folder of settings, and content."""
    files = []
    for path, content in home.items():
        name = posixpath.normpath(posixpath.join("home", path))
        if path.startswith("/") or not name.startswith("home/"):
            raise AnsibleFilterError(f"images_build_home: {path} is no path within the home folder; write .netrc")
        files.append({"name": name, "content": content})
    return files


class FilterModule:
    """Filters of the role images."""

    def filters(self) -> dict:
        return {
            "build_failure": build_failure,
            "home_files": home_files,
            "image_builds": image_builds,
            "image_differences": image_differences,
            "image_reference": image_references.canonical,
            "shell_pairs": shell_pairs,
        }
