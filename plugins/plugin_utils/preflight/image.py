# MIT License (see LICENSE)
"""What the application's image is made from, or which image it is."""

from __future__ import annotations

import os
import re
import typing as t

from ansible_collections.broadcast.stack.plugins.plugin_utils.images.context import (
    CatalogError,
    ignore_filter,
    ignore_text,
)
from ansible_collections.broadcast.stack.plugins.plugin_utils.images.python_version import (
    IMAGE_PYTHON,
    image_python,
    python_faults,
)
from ansible_collections.broadcast.stack.plugins.plugin_utils.images.requirement_files import inspect
from ansible_collections.broadcast.stack.plugins.plugin_utils.preflight.problems import Problem, shown
from ansible_collections.broadcast.stack.plugins.plugin_utils.preflight.values import truthy

# Lock files and projects that requirements may be; every other file is in pip's format.
INSTALLABLE = re.compile(r"uv\.lock|pylock(\.[^.]+)?\.toml|pyproject\.toml")


def image_problems(image: str, environment: str, variable: str = "backend_image") -> list[Problem]:
    name, at, digest = image.partition("@")
    repository, tag = name, ""
    # A colon before the last slash is the port of a registry.
    if ":" in name.rpartition("/")[2]:
        repository, _colon, tag = name.rpartition(":")
    valid = re.fullmatch(r"[a-z0-9][a-z0-9.:/_-]*", repository) and re.fullmatch(r"[\w.-]*", tag)
    if not valid or (at and not re.fullmatch("sha256:[0-9a-f]{64}", digest)):
        remedy = "write it as registry/name:tag or registry/name@sha256:..."
        return [Problem(variable, "not an image reference", remedy, shown(image))]
    if environment != "dev" and not digest and tag in ("", "latest"):
        text = "has no tag" if not tag else "is tagged latest"
        remedy = "give the tag or digest of one build, so that every host and a rollback get the same"
        return [Problem(variable, text, remedy, shown(image))]
    return []


def ready_image_problems(backend_image: str, stack_environment: str) -> list[Problem]:
    return image_problems(backend_image, stack_environment) if backend_image else []


def base_image_problems(backend_base_image: str, stack_environment: str) -> list[Problem]:
    return image_problems(backend_base_image, stack_environment, "backend_base_image") if backend_base_image else []


def context_problems(
    backend_context: str,
    backend_image: str,
    backend_requirements: str,
    backend_packages: t.Sequence[str],
    backend_install_project: t.Any,
) -> list[Problem]:
    """An image that is built here needs something to install."""
    if backend_image:
        return []
    if backend_context:
        if os.path.isdir(backend_context):
            remedy = "lock what the application needs, or name it in backend_packages"
            empty = Problem("backend_requirements", "empty, and so is backend_packages", remedy)
            return [] if backend_requirements or backend_packages else [empty]
        remedy = "point it at your application's source, or set backend_image to an image that exists"
        return [Problem("backend_context", "no such directory on the controller", remedy, shown(backend_context))]
    problems = []
    if not backend_packages:
        remedy = "point it at your application's source, or name what to install in backend_packages"
        problems.append(Problem("backend_context", "empty, and so is backend_packages", remedy))
    if truthy(backend_install_project):
        remedy = "name the project in backend_packages instead, or set backend_context"
        problems.append(Problem("backend_install_project", "is on without backend_context", remedy, "true"))
    return problems


def requirements_problems(
    backend_requirements: str,
    backend_context: str,
    backend_image: str,
    backend_build_env: t.Mapping[str, t.Any],
    backend_working_dir: str,
) -> list[Problem]:
    variable = "backend_requirements"
    source = "" if backend_image else backend_context
    return requirements_file_problems(variable, backend_requirements, source, backend_build_env, backend_working_dir)


def requirements_dev_problems(
    backend_requirements_dev: str,
    backend_target: str,
    backend_context: str,
    backend_image: str,
    backend_build_env: t.Mapping[str, t.Any],
    backend_working_dir: str,
) -> list[Problem]:
    variable, path = "backend_requirements_dev", backend_requirements_dev if backend_target == "dev" else ""
    source = "" if backend_image else backend_context
    return requirements_file_problems(variable, path, source, backend_build_env, backend_working_dir)


def constraints_problems(
    backend_constraints: str,
    backend_context: str,
    backend_image: str,
    backend_build_env: t.Mapping[str, t.Any],
    backend_working_dir: str,
) -> list[Problem]:
    variable = "backend_constraints"
    if backend_constraints and not backend_context and not backend_image:
        remedy = "set backend_context to the directory that holds it"
        return [Problem(variable, "has no backend_context to lie in", remedy, backend_constraints)]
    source = "" if backend_image else backend_context
    return requirements_file_problems(variable, backend_constraints, source, backend_build_env, backend_working_dir)


def requirements_file_problems(
    variable: str, path: str, context: str, build_env: t.Mapping[str, t.Any], working_dir: str
) -> list[Problem]:
    """A requirements or lock file with what it names; one without a source is not used."""
    if not path or not os.path.isdir(context):
        return []
    if not os.path.isfile(os.path.join(context, path)):
        remedy = "lock your requirements into %s" % path
        if variable == "backend_constraints":
            remedy = "add the file or empty the variable"
        return [Problem(variable, "no such file in backend_context", remedy, shown(path))]
    if path.endswith((".lock", ".toml")) and not INSTALLABLE.fullmatch(os.path.basename(path)):
        text = "is a lock file that uv does not read"
        remedy = (
            "write requirements from it (`poetry export`, `pipenv requirements`, pip-tools), or lock with `uv lock`"
        )
        return [Problem(variable, text, remedy, shown(path))]
    try:
        skipped = ignore_filter(ignore_text(context))
    except CatalogError:
        # The catalog reads the whole tree and tells this.
        return []
    environment = {name: str(value) for name, value in build_env.items()}
    needs = inspect(context, {variable: path}, skipped=skipped, environment=environment, working_dir=working_dir)
    return [
        Problem(variable, text if subject == variable else "%s: %s" % (subject, text), remedy, shown(path))
        for subject, text, remedy in needs.faults
    ]


def python_problems(
    backend_context: str,
    backend_image: str,
    backend_requirements: str,
    backend_base_image: str,
    backend_python: str,
) -> list[Problem]:
    """The Python that the source asks for against the one of the image."""
    if backend_image:
        return []
    if backend_python and not backend_base_image and backend_python != IMAGE_PYTHON:
        text = "is not the Python of the stack's own images, %s" % IMAGE_PYTHON
        remedy = "set backend_base_image to an image that has it, such as docker.io/library/python:%s-slim-trixie"
        return [Problem("backend_python", text, remedy % backend_python, shown(backend_python))]
    if not os.path.isdir(backend_context):
        return []
    faults = python_faults(
        backend_context,
        [".", os.path.dirname(backend_requirements) or "."],
        image_python(backend_base_image, backend_python),
        chosen=bool(backend_python),
    )
    return [Problem(*fault) for fault in faults]


def extras_problems(backend_extras: t.Sequence[str], backend_requirements: str, backend_image: str) -> list[Problem]:
    file = os.path.basename(backend_requirements)
    if not backend_extras or backend_image or file in ("uv.lock", "pylock.toml"):
        return []
    remedy = (
        "set backend_requirements to uv.lock or pylock.toml, or lock them into your requirements file and remove this"
    )
    return [Problem("backend_extras", "only lock files know extras", remedy, shown(backend_extras))]


def wheels_problems(backend_wheels_only_except: t.Sequence[str], backend_wheels_only: t.Any) -> list[Problem]:
    if not backend_wheels_only_except or truthy(backend_wheels_only):
        return []
    text, remedy = "means nothing without backend_wheels_only", "set backend_wheels_only to true or remove it"
    return [Problem("backend_wheels_only_except", text, remedy, shown(backend_wheels_only_except))]


def hashes_problems(backend_packages: t.Sequence[str], backend_hashes_required: t.Any) -> list[Problem]:
    if not truthy(backend_hashes_required):
        return []
    remedy = "add --hash=sha256:... to it, lock it into backend_requirements, or set backend_hashes_required to false"
    return [
        Problem("backend_packages", "has no hash, but backend_hashes_required demands one", remedy, shown(package))
        for package in backend_packages
        if "--hash" not in package
    ]
