# MIT License (see LICENSE)
"""What images there are, and a name for each that changes exactly when its content would."""

from __future__ import annotations

import hashlib
import re
import shlex
from dataclasses import dataclass, replace
from pathlib import Path

from ansible_collections.broadcast.stack.plugins.plugin_utils.images.context import (
    HASHER,
    CatalogError,
    context_files,
    ignore_filter,
    ignore_text,
)
from ansible_collections.broadcast.stack.plugins.plugin_utils.images.requirement_files import (
    BUILD_DEFINITIONS,
    Needs,
    inspect,
)
from ansible_collections.broadcast.stack.plugins.plugin_utils.services.register import SERVICES

# Name of an image to the folder under docker/ and the stage of its Dockerfile. Parents come before their children.
IMAGES: dict[str, tuple[str, str]] = {
    "base": ("base", "base"),
    "builder": ("base", "builder"),
    # Images that are made from the application's own base image, when it has one.
    "django_base": ("base", "base"),
    "django_builder": ("base", "builder"),
    **{image: (image, "") for service in SERVICES for image in service.images},
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
# Authorities and vault passwords of an inventory that lies within the source.
PRIVATE = re.compile(r"(^|/)(\.pki/.*\.key|\.vault-password-[^/]*)$")
PARENT = re.compile(r"^ARG\s+([A-Z_]+)_IMAGE\b", re.M)


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
