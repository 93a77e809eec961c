# MIT License (see LICENSE)
"""What images there are, and a name for each that changes exactly when its content would."""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import stat
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

# Name of an image to the folder under docker/ and the stage of its Dockerfile. Parents come before their children.
IMAGES: dict[str, tuple[str, str]] = {
    "base": ("base", "base"),
    "builder": ("base", "builder"),
    "postgres": ("postgres", ""),
    "redis": ("redis", ""),
    "nginx": ("nginx", ""),
    "backups": ("backups", ""),
    "django": ("django", ""),
    "test_host": ("test_host", "engine"),
    "test_host_bare": ("test_host", "bare"),
}
DEBIAN_TAG = "trixie-slim"
# Version control and bytecode never make a different image, whatever .dockerignore says.
NEVER = (".git", "__pycache__")
NEVER_SUFFIXES = (".pyc", ".pyo")
PARENT = re.compile(r"^ARG\s+([A-Z_]+)_IMAGE\b", re.M)


class CatalogError(Exception):
    """The input cannot be made into images; the text says what to change."""


@dataclass(frozen=True)
class Application:
    """A Django project: folder, stage of docker/django's Dockerfile and its build arguments."""

    context: str
    target: str = "prod"
    args: tuple[tuple[str, str], ...] = ()


def ignore_rules(text: str) -> list[tuple[bool, re.Pattern[str]]]:
    """The lines of a .dockerignore as (excluded?, pattern), in order; the last match decides."""
    rules = []
    for line in text.splitlines():
        pattern = line.strip()
        if not pattern or pattern.startswith("#"):
            continue
        excluded = not pattern.startswith("!")
        pattern = os.path.normpath(pattern.lstrip("!").strip()).lstrip("/")
        expression, position = "", 0
        while position < len(pattern):
            if pattern.startswith("**/", position):
                expression, position = expression + r"(?:.*/)?", position + 3
            elif pattern.startswith("**", position):
                expression, position = expression + r".*", position + 2
            elif pattern[position] == "*":
                expression, position = expression + r"[^/]*", position + 1
            elif pattern[position] == "?":
                expression, position = expression + r"[^/]", position + 1
            elif pattern[position] == "[" and "]" in pattern[position:]:
                end = pattern.index("]", position) + 1
                expression, position = expression + pattern[position:end], end
            else:
                expression, position = expression + re.escape(pattern[position]), position + 1
        # A pattern that names a folder excludes what is in it.
        rules.append((excluded, re.compile(rf"{expression}(?:/.*)?\Z")))
    return rules


def ignore_filter(text: str) -> Callable[[str], bool]:
    """A function that tells whether .dockerignore keeps a path out of the build context."""
    rules = ignore_rules(text)
    if not rules:
        return lambda path: False
    if all(excluded for excluded, _pattern in rules):
        match = re.compile("|".join(pattern.pattern for _excluded, pattern in rules)).match
        return lambda path: match(path) is not None

    def last_match_decides(path: str) -> bool:
        verdict = False
        for excluded, pattern in rules:
            if excluded != verdict and pattern.match(path):
                verdict = excluded
        return verdict

    return last_match_decides


def context_files(context: str) -> list[tuple[str, os.stat_result]]:
    """Relative path and status of every file that enters the build context, sorted."""
    text = ""
    with contextlib.suppress(FileNotFoundError), open(os.path.join(context, ".dockerignore")) as stream:
        text = stream.read()
    skipped = ignore_filter(text)
    # An exception may bring back a file of an excluded folder.
    enter_skipped = any(line.lstrip().startswith("!") for line in text.splitlines())
    found = []
    pending = [""]
    while pending:
        folder = pending.pop()
        with os.scandir(os.path.join(context, folder)) as entries:
            for entry in entries:
                if entry.name in NEVER or entry.name.endswith(NEVER_SUFFIXES):
                    continue
                path = folder + entry.name
                if entry.is_dir(follow_symlinks=False):
                    if enter_skipped or not skipped(path):
                        pending.append(path + "/")
                elif not skipped(path):
                    found.append((path, entry.stat(follow_symlinks=False)))
    found.sort(key=lambda item: item[0])
    return found


class Hasher:
    """Hashes of contexts; what has not changed on disk is not read again."""

    def __init__(self) -> None:
        self._contexts: dict[str, tuple[object, str]] = {}

    def context(self, context: str) -> str:
        """Hash over path, kind and content of every file in the context."""
        files = context_files(context)
        signature = [(path, status.st_mtime_ns, status.st_size, status.st_mode) for path, status in files]
        if context in self._contexts and self._contexts[context][0] == signature:
            return self._contexts[context][1]
        digest = hashlib.sha256()
        for path, status in files:
            file = os.path.join(context, path)
            if stat.S_ISLNK(status.st_mode):
                kind, content = "link", os.readlink(file).encode()
            else:
                kind = "program" if status.st_mode & stat.S_IXUSR else "file"
                with open(file, "rb") as stream:
                    content = stream.read()
            digest.update(f"{path}\0{kind}\0{len(content)}\0".encode())
            digest.update(content)
        self._contexts[context] = (signature, digest.hexdigest())
        return digest.hexdigest()


HASHER = Hasher()


def check_application(application: Application) -> None:
    """Refuses what a build would only find out minutes later."""
    context = Path(application.context)
    if not context.is_dir():
        raise CatalogError(
            f"backend_context: there is no folder {context}. Set it to the folder of your Django project (the one with "
            "manage.py), or leave it empty and set backend_image to an image that is built elsewhere."
        )
    if application.target not in ("prod", "dev"):
        raise CatalogError(f"backend_target: {application.target!r} is neither 'prod' nor 'dev'.")
    args = dict(application.args)
    needed = {"REQUIREMENTS": "backend_requirements"}
    if application.target == "dev":
        needed["REQUIREMENTS_DEV"] = "backend_requirements_dev"
    for argument, variable in needed.items():
        path = args.get(argument, "")
        if not path or not (context / path).is_file():
            raise CatalogError(
                f"{variable}: there is no file {path!r} in {context}. Set it to the requirements file of your project, "
                "relative to backend_context."
            )


def content_hash(context: Path, target: str, args: dict[str, str]) -> str:
    """Hash of what makes an image. In development the source is mounted over the image's copy of it, so only the
    requirements count: an edited file must not lead to a new image."""
    if target != "dev":
        return HASHER.context(str(context))
    digest = hashlib.sha256()
    for argument in ("REQUIREMENTS", "REQUIREMENTS_DEV"):
        digest.update((context / args[argument]).read_bytes())
    return digest.hexdigest()


def catalog(docker: Path, namespace: str, application: Application | None) -> dict[str, dict[str, object]]:
    """Every image of the stack: reference and what `docker build` needs. Without an application there is no django."""
    images: dict[str, dict[str, object]] = {}
    for name, (folder, target) in IMAGES.items():
        dockerfile = docker / folder / "Dockerfile"
        if not dockerfile.is_file():
            raise CatalogError(f"There is no {dockerfile}: the collection is incomplete, install it again.")
        context, own_args = dockerfile.parent, {}
        if name == "django":
            if application is None:
                continue
            check_application(application)
            context, target, own_args = Path(application.context), application.target, dict(application.args)
        text = dockerfile.read_text()
        parents = [parent.lower() for parent in PARENT.findall(text) if parent != "DEBIAN"]
        digest = hashlib.sha256(
            "\0".join(
                [
                    text,
                    target,
                    content_hash(context, target, own_args),
                    *(f"{key}={value}" for key, value in sorted(own_args.items())),
                    *(str(images[parent]["reference"]).rpartition(":")[2] for parent in parents),
                ]
            ).encode()
        ).hexdigest()
        parent_args = {f"{parent.upper()}_IMAGE": images[parent]["reference"] for parent in parents}
        if folder == "base":
            parent_args["DEBIAN_IMAGE"] = f"{namespace}/debian:{DEBIAN_TAG}"
        images[name] = {
            "reference": f"{namespace}/{name.replace('_', '-')}:{digest[:12]}",
            "dockerfile": str(dockerfile),
            "context": str(context),
            "target": target,
            "args": {**own_args, **parent_args},
            "parents": parents,
        }
    return images
