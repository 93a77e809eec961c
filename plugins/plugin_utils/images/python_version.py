# MIT License (see LICENSE)
"""The Python that an application's source asks for, and the one of its image."""

from __future__ import annotations

import os
import re
import tomllib
import typing as t

from ansible_collections.broadcast.stack.plugins.plugin_utils.images.requirement_files import Fault
from ansible_collections.broadcast.stack.plugins.plugin_utils.images.text_files import (
    UnreadableError,
    logical_lines,
    read_text,
)

# Debian's Python of the images that are built without a base image of the application's own.
IMAGE_PYTHON = "3.13"


def image_python(base_image: str, wanted: str) -> str:
    """The Python of the application's image, as far as it is known before the image is made."""
    return wanted or ("" if base_image else IMAGE_PYTHON)


def python_faults(context: str, folders: t.Iterable[str], python: str, *, chosen: bool) -> list[Fault]:
    """
    What the source says about its Python against the one of the image; `chosen` when backend_python names it, so that
    a .python-version, the habit of developers, no longer counts.
    """
    faults = []
    remedy = (
        "set backend_base_image to an image with the right Python and backend_python to its version"
        ', or, when the application runs on %s as well, widen it or set backend_python: "%s"' % (python, python)
    )
    for folder in dict.fromkeys(folders):
        project = os.path.normpath(os.path.join(folder, "pyproject.toml"))
        pin = os.path.normpath(os.path.join(folder, ".python-version"))
        demanded = requires_python(os.path.join(context, project))
        if demanded and python and not allows(demanded, python):
            text = "%s asks for Python %s, the image has %s" % (project, demanded, python)
            faults.append(Fault("backend_python", text, remedy))
        pinned = pinned_python(os.path.join(context, pin))
        if pinned and python and not chosen and not (pinned + ".").startswith(python + "."):
            faults.append(
                Fault("backend_python", "%s asks for Python %s, the image has %s" % (pin, pinned, python), remedy)
            )
    return faults


def requires_python(path: str) -> str:
    try:
        project = tomllib.loads(read_text(path)).get("project", {})
    except (OSError, UnreadableError, tomllib.TOMLDecodeError):
        return ""
    return str(project.get("requires-python", "")) if isinstance(project, dict) else ""


def pinned_python(path: str) -> str:
    """The first version of a .python-version; names of environments are none."""
    try:
        text = read_text(path)
    except (OSError, UnreadableError):
        return ""
    for line in logical_lines(text):
        match = re.fullmatch(r"(?:cpython[-@])?(\d+\.\d+(?:\.\d+)?)\S*", line)
        return match[1] if match else ""
    return ""


def allows(specifier: str, python: str) -> bool:
    """Whether some patch release of a Python such as 3.13 satisfies a specifier."""
    try:
        from packaging.specifiers import InvalidSpecifier, SpecifierSet
    except ImportError:
        return True
    try:
        versions = SpecifierSet(specifier)
    except InvalidSpecifier:
        return True
    return any(versions.contains("%s.%d" % (python, patch)) for patch in range(40))
