# MIT License (see LICENSE)
"""What images there are, and a name for each that changes exactly when its content would."""

from __future__ import annotations

import hashlib
import os
import re
import shlex
import shutil
import stat
from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from pathlib import Path

from ansible_collections.broadcast.stack.plugins.plugin_utils.images.requirement_files import (
    BUILD_DEFINITIONS,
    Needs,
    UnreadableError,
    inspect,
    read_text,
)

# Name of an image to the folder under docker/ and the stage of its Dockerfile. Parents come before their children.
IMAGES: dict[str, tuple[str, str]] = {
    "base": ("base", "base"),
    "builder": ("base", "builder"),
    "postgres": ("postgres", ""),
    "redis": ("redis", ""),
    "nginx": ("nginx", ""),
    "backups": ("backups", ""),
    # Images that are made from the application's own base image, when it has one.
    "django_base": ("base", "base"),
    "django_builder": ("base", "builder"),
    "django": ("django", ""),
    "test_host": ("test_host", "engine"),
    "test_host_bare": ("test_host", "bare"),
}
OWN_BASE = {"base": "django_base", "builder": "django_builder"}
# Build context of an application without a source tree.
NO_SOURCE = "no-source"
# Programs in our own contexts, by folder. The modes of a checkout tell nothing: a umask, an archive or a file system
# without modes changes them.
PROGRAMS = {"backups": ("command",), "base": ("commands/build-secrets",)}
DEBIAN_TAG = "trixie-slim"
# Version control and bytecode never make a different image, whatever .dockerignore says.
NEVER = (".git", "__pycache__")
NEVER_SUFFIXES = (".pyc", ".pyo")
# Authorities and vault passwords of an inventory that lies within the source.
PRIVATE = re.compile(r"(^|/)(\.pki/.*\.key|\.vault-password-[^/]*)$")
PARENT = re.compile(r"^ARG\s+([A-Z_]+)_IMAGE\b", re.M)


class CatalogError(Exception):
    """The input cannot be made into images; the text says what to change."""


@dataclass(frozen=True)
class Application:
    """A Django project as the wiring describes it (`__stack_application`); meta/stack_variables.yml has meanings."""

    context: str = ""
    target: str = "prod"
    base_image: str = ""
    requirements: str = ""
    requirements_dev: str = ""
    extras: tuple[str, ...] = ()
    packages: tuple[str, ...] = ()
    constraints: str = ""
    hashes_required: bool = False
    wheels_only: bool = False
    wheels_only_except: tuple[str, ...] = ()
    install_project: bool = False
    python: str = ""
    system_packages: tuple[str, ...] = ()
    build_packages: tuple[str, ...] = ()
    build_env: tuple[tuple[str, str], ...] = ()
    static_command: tuple[str, ...] = ()
    static_root: str = "/app/staticfiles"
    working_dir: str = "/app"
    directories: tuple[str, ...] = ()

    @property
    def install_options(self) -> list[str]:
        """Options of uv that hold for everything that is installed."""
        options = []
        if self.hashes_required:
            options.append("--require-hashes")
        if self.wheels_only:
            options += ["--only-binary", ":all:"]
            options += [part for name in self.wheels_only_except for part in ("--no-binary", name)]
        return options

    def build_args(self, needs: Needs) -> dict[str, str]:
        """Arguments of docker/django/Dockerfile; lists are quoted as a shell reads them."""
        development = self.requirements_dev if self.target == "dev" else ""
        return {
            "REQUIREMENTS": self.requirements,
            "REQUIREMENTS_DEV": development,
            "REQUIREMENT_FILES": shlex.join(sorted(needs.files | needs.folders)),
            "INSTALL_FOLDER": needs.folder,
            "LOCKED_PROJECT": needs.project,
            "EXTRAS": shlex.join(part for extra in self.extras for part in ("--extra", extra)),
            "PACKAGES": shlex.join(self.packages),
            "CONSTRAINTS": self.constraints,
            "INSTALL_OPTIONS": shlex.join(self.install_options),
            "INSTALL_PROJECT": "yes" if self.install_project else "",
            "PYTHON": self.python,
            "SYSTEM_PACKAGES": shlex.join(self.system_packages),
            "BUILD_PACKAGES": shlex.join(dict.fromkeys([*self.build_packages, *sorted(needs.programs)])),
            "BUILD_ENV": " ".join(f"{key}={shlex.quote(value)}" for key, value in self.build_env),
            "STATIC_COMMAND": shlex.join(self.static_command),
            "STATIC_ROOT": self.static_root,
            "WORKING_DIR": self.working_dir,
            "DIRECTORIES": shlex.join(self.directories),
        }


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


def ignore_text(context: str) -> str:
    """The .dockerignore of a context; empty without one."""
    file = os.path.join(context, ".dockerignore")
    try:
        return read_text(file)
    except (FileNotFoundError, NotADirectoryError):
        return ""
    except UnreadableError as error:
        raise CatalogError(f"backend_context: {file} {error}. Save it as UTF-8.") from error


def unreadable(path: str, error: OSError) -> CatalogError:
    return CatalogError(
        f"backend_context: {shown_path(path).rstrip('/')} cannot be read: {error.strerror or error}. Give the user who "
        "deploys the right to read it, or name it in the .dockerignore of backend_context."
    )


def shown_path(path: str) -> str:
    """A path as a message can show it, whatever its bytes are."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def context_files(context: str) -> list[tuple[str, os.stat_result]]:
    """Relative path and status of every file that enters the build context, sorted."""
    text = ignore_text(context)
    skipped = ignore_filter(text)
    # An exception may bring back a file of an excluded folder.
    enter_skipped = any(line.lstrip().startswith("!") for line in text.splitlines())
    found = []
    pending = [""]
    while pending:
        folder = pending.pop()
        try:
            with os.scandir(os.path.join(context, folder)) as scan:
                entries = list(scan)
        except PermissionError as error:
            if folder and skipped(folder[:-1]):
                # Docker does not enter the folder either. A file in it that an exception would bring back is missed in
                # the build.
                continue
            raise unreadable(os.path.join(context, folder), error) from error
        for entry in entries:
            if entry.name in NEVER or entry.name.endswith(NEVER_SUFFIXES):
                continue
            path = folder + entry.name
            if entry.is_dir(follow_symlinks=False):
                if enter_skipped or not skipped(path):
                    pending.append(path + "/")
            elif not skipped(path):
                status = entry.stat(follow_symlinks=False)
                # No archive holds a socket, so no context does.
                if not stat.S_ISSOCK(status.st_mode):
                    found.append((path, status))
    found.sort(key=lambda item: item[0])
    return found


def is_program(path: str, status: os.stat_result, programs: Collection[str] | None) -> bool:
    """Whether a file is executable in a context: one of the programs, and without a list of them what its mode says."""
    return bool(status.st_mode & stat.S_IXUSR) if programs is None else path in programs


def copy_context(context: str, target: str, programs: Collection[str] | None = None) -> None:
    """Copy what enters a build, and what its hash covers, with modes that depend on nothing but that."""
    for path, status in context_files(context):
        source, copy = os.path.join(context, path), os.path.join(target, path)
        os.makedirs(os.path.dirname(copy), exist_ok=True)
        if stat.S_ISLNK(status.st_mode):
            os.symlink(os.readlink(source), copy)
        else:
            shutil.copyfile(source, copy)
            os.chmod(copy, 0o755 if is_program(path, status, programs) else 0o644)
    for folder, _folders, _files in os.walk(target):
        os.chmod(folder, 0o755)


class Hasher:
    """Hashes of contexts; what has not changed on disk is not read again."""

    def __init__(self) -> None:
        self._contexts: dict[str, tuple[object, str]] = {}

    def context(self, context: str, programs: Collection[str] | None = None) -> str:
        """Hash over path, kind and content of every file in the context."""
        files = context_files(context)
        signature = [(path, status.st_mtime_ns, status.st_size, status.st_mode) for path, status in files]
        if context in self._contexts and self._contexts[context][0] == signature:
            return self._contexts[context][1]
        digest = hashlib.sha256()
        for path, status in files:
            file = os.path.join(context, path)
            if stat.S_ISLNK(status.st_mode):
                kind, content = "link", os.fsencode(os.readlink(file))
            elif not stat.S_ISREG(status.st_mode):
                # To read a pipe would wait for somebody who writes into it.
                raise CatalogError(
                    f"backend_context: {shown_path(file)} is neither a file nor a folder nor a link. Remove it, or "
                    "name it in the .dockerignore of backend_context."
                )
            else:
                kind = "program" if is_program(path, status, programs) else "file"
                try:
                    with open(file, "rb") as stream:
                        content = stream.read()
                except PermissionError as error:
                    raise unreadable(file, error) from error
            digest.update(os.fsencode(f"{path}\0{kind}\0{len(content)}\0"))
            digest.update(content)
        self._contexts[context] = (signature, digest.hexdigest())
        return digest.hexdigest()


HASHER = Hasher()


def installation(application: Application) -> Needs:
    """What the installation of an application reads of its source."""
    variables = {"backend_requirements": application.requirements, "backend_constraints": application.constraints}
    if application.target == "dev":
        variables["backend_requirements_dev"] = application.requirements_dev
    needs = inspect(
        application.context,
        variables,
        skipped=ignore_filter(ignore_text(application.context)),
        packages=application.packages,
        environment=dict(application.build_env),
        working_dir=application.working_dir,
    )
    if needs.faults:
        subject, text, remedy = needs.faults[0]
        raise CatalogError(f"{subject}: {text}; {remedy}.")
    return needs


def check_application(application: Application) -> None:
    """Refuses what a build would only find out minutes later."""
    context = Path(application.context)
    if not context.is_dir():
        raise CatalogError(
            f"backend_context: there is no folder {context}. Set it to the folder of your Django project, leave it "
            "empty and name its packages in backend_packages, or set backend_image to an image that is built elsewhere."
        )
    exposed = [path for path, _status in context_files(application.context) if PRIVATE.search(path)]
    if exposed:
        raise CatalogError(
            f"backend_context: {exposed[0]} would end in the image. List it in {context / '.dockerignore'}, or keep "
            "the inventory outside the source."
        )
    if application.target not in ("prod", "dev"):
        raise CatalogError(f"backend_target: {application.target!r} is neither 'prod' nor 'dev'.")
    if not application.requirements and not application.packages:
        raise CatalogError(
            "backend_requirements, backend_packages: both are empty. Name the requirements file of your project or its "
            "packages."
        )


def content_hash(application: Application, needs: Needs) -> str:
    """Hash of what makes an image. In development the source is mounted over the image's copy of it, so only the
    requirements count: an edited file must not lead to a new image."""
    if application.target != "dev":
        return HASHER.context(application.context)
    digest = hashlib.sha256()
    counted = set(needs.files)
    for folder in needs.folders:
        inside = "" if folder == "." else folder + "/"
        names = [path for path, _status in context_files(application.context) if path.startswith(inside)]
        if folder in needs.editable or folder == ".":
            names = [path for path in names if path.removeprefix(inside) in BUILD_DEFINITIONS]
        counted.update(names)
    for path in sorted(counted):
        digest.update((Path(application.context) / path).read_bytes())
    return digest.hexdigest()


def catalog(docker: Path, namespace: str, application: Application | None) -> dict[str, dict[str, object]]:
    """Every image of the stack: reference and what `docker build` needs. Without an application there is no django."""
    images: dict[str, dict[str, object]] = {}
    if application and not application.context:
        application = replace(application, context=str(docker / "django" / NO_SOURCE))
    for name, (folder, target) in IMAGES.items():
        dockerfile = docker / folder / "Dockerfile"
        if not dockerfile.is_file():
            raise CatalogError(f"There is no {dockerfile}: the collection is incomplete, install it again.")
        if name.startswith("django") and (application is None or (name != "django" and not application.base_image)):
            continue
        context, own_args = dockerfile.parent, {}
        text = dockerfile.read_text()
        parents = {parent: parent.lower() for parent in PARENT.findall(text) if parent != "DEBIAN"}
        if name == "django":
            check_application(application)
            needs = installation(application)
            context, target, own_args = Path(application.context), application.target, application.build_args(needs)
            content = content_hash(application, needs)
            if application.base_image:
                parents = {parent: OWN_BASE[image] for parent, image in parents.items()}
        else:
            content = HASHER.context(str(context), PROGRAMS.get(folder, ()))
        # The stack's own Debian is the same under every namespace, so its name does not count.
        hashed_args = own_args
        if name in OWN_BASE.values():
            hashed_args = own_args = {"DEBIAN_IMAGE": application.base_image}
        elif folder == "base":
            own_args = {"DEBIAN_IMAGE": f"{namespace}/debian:{DEBIAN_TAG}"}
        digest = hashlib.sha256(
            "\0".join(
                [
                    text,
                    target,
                    content,
                    *(f"{key}={value}" for key, value in sorted(hashed_args.items())),
                    *(str(images[image]["reference"]).rpartition(":")[2] for image in parents.values()),
                ]
            ).encode()
        ).hexdigest()
        images[name] = {
            "reference": f"{namespace}/{name.replace('_', '-')}:{digest[:12]}",
            "dockerfile": str(dockerfile),
            "context": str(context),
            "target": target,
            "args": {
                **own_args,
                **{f"{parent}_IMAGE": images[image]["reference"] for parent, image in parents.items()},
            },
            "parents": list(parents.values()),
            "programs": None if name == "django" else list(PROGRAMS.get(folder, ())),
        }
    return images
