# MIT License (see LICENSE)
"""What has to be built, and whether hosts hold the same: the arithmetic of the role images."""

from __future__ import annotations

import ast
import hashlib
import posixpath
import re
import shlex
import typing as t
from collections.abc import Iterable, Mapping

from ansible.errors import AnsibleFilterError
from ansible_collections.broadcast.stack.plugins.module_utils import image_references

COLOUR = re.compile(r"(?:\x1b|\\x1b)\[[0-9;?]*[A-Za-z]")
# How Python, django-environ, decouple and Django projects say it.
MISSING_VARIABLE = re.compile(
    r"KeyError: '([A-Z][A-Z0-9_]+)'|[Ss]et the ([A-Z][A-Z0-9_]+) environment variable|\b([A-Z][A-Z0-9_]+) not found\. "
    r"Declare it|[Mm]issing (?:required )?environment variable:? '?([A-Z][A-Z0-9_]+)"
)
ADVICE = (
    "A build has none of the stack's variables and secrets, and the settings asked for %s: give it a value in "
    "backend_build_env that is good enough for collectstatic."
)


def image_builds(catalog: Mapping[str, Mapping], wanted: Iterable[str], present: Iterable[str]) -> list[dict]:
    """The images to build, parents first: what is wanted and not present, and the parents that this takes.

    A builder is among them whenever anything of it is: it carries the mirrors and certificates of this run. See
    builders_due.
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


def builder_mark(image: Mapping[str, t.Any], context: str, parent: str) -> str:
    """
    A second reference of a builder. It tells from what it was built: its context with the settings of the run, hashed,
    and the id of its parent. Only the controller has it, as it has the builder.
    """
    return f"{image['reference']}-{hashlib.sha256(f'{context} {parent}'.encode()).hexdigest()[:12]}"


def builders_due(
    builds: Iterable[Mapping[str, t.Any]], images: Mapping[str, Mapping], context: str, parent: str
) -> list[Mapping[str, t.Any]]:
    """What is left to build, when a builder that was built from the same stays. images: those of the controller."""

    def same(image: Mapping[str, t.Any]) -> bool:
        ids = [
            images.get(image_references.canonical(one), {}).get("id")
            for one in (image["reference"], builder_mark(image, context, parent))
        ]
        return image["name"].endswith("builder") and ids[0] is not None and ids[0] == ids[1]

    return [image for image in builds if not same(image)]


def holders(hosts: Mapping[str, Mapping[str, Mapping]], reference: str) -> dict[str, list[str]]:
    """Id to the hosts on which the reference means it; first what most of them have, then by the order of hosts."""
    found: dict[str, list[str]] = {}
    for host, images in hosts.items():
        if reference in images:
            found.setdefault(images[reference]["id"], []).append(host)
    return dict(sorted(found.items(), key=lambda item: -len(item[1])))


def images_held(references: Iterable[str], hosts: Mapping[str, Mapping[str, Mapping]]) -> dict[str, str]:
    """
    Reference to the id that it means, of all that any host has: what most have. A build is never the same twice,
    so what hosts have under a name is what it means. hosts: host to images as stack_info returns them.
    """
    found = {reference: holders(hosts, reference) for reference in references}
    return {reference: next(iter(ids)) for reference, ids in found.items() if ids}


def images_missing(references: Iterable[str], images: Mapping[str, Mapping], held: Mapping[str, str]) -> list[str]:
    """References that a host lacks, and those that mean another image there than on the other hosts."""
    return [one for one in references if one not in images or images[one]["id"] != held.get(one, images[one]["id"])]


def image_supply(
    catalog: Mapping[str, Mapping],
    wanted: Mapping[str, Iterable[str]],
    hosts: Mapping[str, Mapping[str, Mapping]],
    builder: Mapping[str, Mapping] | None = None,
) -> dict:
    """
    Where what is missing comes from: missing (all references), fetches ({host, references} to fetch from a host, since
    the controller has none or another one), builds (what no host has, with its parents) and differences (a line for
    each reference that is not the same image everywhere). wanted: host to names of the catalog. hosts and builder:
    images as stack_info returns them.
    """
    builder = builder or {}
    names = list(dict.fromkeys(name for found in wanted.values() for name in found if name in catalog))
    held = images_held([image["reference"] for image in catalog.values()], hosts)
    missing: list[str] = []
    for host, found in wanted.items():
        references = [catalog[name]["reference"] for name in found if name in catalog]
        missing += [one for one in images_missing(references, hosts.get(host, {}), held) if one not in missing]
    sources: dict[str, list[str]] = {}
    for reference in missing:
        if reference in held and builder.get(reference, {}).get("id") != held[reference]:
            sources.setdefault(holders(hosts, reference)[held[reference]][0], []).append(reference)
    unheld = [name for name in names if catalog[name]["reference"] not in held]
    different = {name: holders(hosts, catalog[name]["reference"]) for name in names}
    return {
        "missing": missing,
        "fetches": [{"host": host, "references": references} for host, references in sources.items()],
        "builds": image_builds(catalog, unheld, builder),
        "differences": [
            "%s: %s"
            % (
                catalog[name]["reference"],
                "; ".join(f"{image} on {', '.join(where)}" for image, where in found.items()),
            )
            for name, found in different.items()
            if len(found) > 1
        ],
    }


def build_failure(message: str, lines: int = 40) -> str:
    """
    The reason and the last lines of the log, from the message that docker_image fails with, without colours; and what
    to do when a variable was missed, which a build has not unless it is told.
    """
    message = COLOUR.sub("", message)
    reason, _separator, rest = message.partition(", logs: ")
    try:
        log = [line.rstrip() for line in ast.literal_eval(rest) if line.strip()]
    except (SyntaxError, ValueError):
        log = []
    missing = dict.fromkeys(name for found in MISSING_VARIABLE.findall("\n".join(log)) for name in found if name)
    advice = [ADVICE % ", ".join(missing)] if missing else []
    if not log:
        return "\n".join([message, *advice])
    return "\n".join([reason.partition("message: ")[2] or reason, *("  " + line for line in log[-lines:]), *advice])


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
            "builder_mark": builder_mark,
            "builders_due": builders_due,
            "home_files": home_files,
            "image_builds": image_builds,
            "image_reference": image_references.canonical,
            "shell_pairs": shell_pairs,
            "image_supply": image_supply,
            "images_held": images_held,
            "images_missing": images_missing,
        }
