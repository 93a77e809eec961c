"""References change exactly when what is built changes."""

from __future__ import annotations

import os
import shutil
import socket
from pathlib import Path

import pytest
from ansible_collections.broadcast.stack.plugins.plugin_utils.images.catalog import Application, catalog, installation
from ansible_collections.broadcast.stack.plugins.plugin_utils.images.context import (
    CatalogError,
    context_files,
    copy_context,
    ignore_filter,
)

LOCKED = {"requirements": "requirements/prod.txt"}


@pytest.fixture
def docker(root: Path, tmp_path: Path) -> Path:
    """A copy of docker/ that may be edited."""
    return Path(shutil.copytree(root / "docker", tmp_path / "docker"))


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A Django project as far as a catalog looks at it."""
    folder = tmp_path / "project"
    (folder / "requirements").mkdir(parents=True)
    (folder / "requirements" / "prod.txt").write_text("django\n")
    (folder / "manage.py").write_text("print()\n")
    return folder


def references(docker: Path, project: Path, **application: object) -> dict[str, str]:
    found = catalog(docker, "shop", Application(context=str(project), **{**LOCKED, **application}))
    return {name: str(image["reference"]) for name, image in found.items()}


def changed(before: dict[str, str], after: dict[str, str]) -> set[str]:
    return {name for name in before if before[name] != after[name]}


def test_same_sources_have_the_same_names(docker, project):
    assert references(docker, project) == references(docker, project)


def test_a_reference_is_namespace_name_and_hash(docker, project):
    name, _colon, tag = references(docker, project)["test_host"].partition(":")
    assert name == "shop/test-host"
    assert len(tag) == 12


def test_a_changed_line_of_the_application_changes_only_its_image(docker, project):
    before = references(docker, project)
    (project / "manage.py").write_text("print(1)\n")
    assert changed(before, references(docker, project)) == {"django"}


def test_a_changed_image_changes_the_images_that_build_on_it(docker, project):
    before = references(docker, project)
    (docker / "postgres" / "entrypoint").write_text("#!/bin/bash\n")
    assert changed(before, references(docker, project)) == {"postgres", "backups"}


def test_a_changed_base_changes_every_image(docker, project):
    before = references(docker, project)
    (docker / "base" / "not-in-base").write_text("apt\n")
    assert changed(before, references(docker, project)) == set(before)


def test_target_and_arguments_count(docker, project):
    before = references(docker, project)
    (project / "requirements" / "dev.txt").write_text("ruff\n")
    with_dev = {"target": "dev", "requirements_dev": "requirements/dev.txt"}
    development = references(docker, project, **with_dev)
    assert changed(before, development) == {"django"}
    (project / "manage.py").write_text("# edited, and mounted over the image's copy")
    assert references(docker, project, **with_dev) == development
    (project / "requirements" / "dev.txt").write_text("ruff\npytest\n")
    assert changed(development, references(docker, project, **with_dev)) == {"django"}


@pytest.mark.parametrize(
    "application",
    [
        {"packages": ("gunicorn",)},
        {"build_packages": ("gcc",)},
        {"system_packages": ("gettext",)},
        {"base_image": "acme/python:1"},
        {"wheels_only": True},
        {"static_command": ("true",)},
        {"build_env": (("A", "b"),)},
    ],
)
def test_what_the_project_asks_for_counts(docker, project, application):
    assert "django" in changed(references(docker, project), references(docker, project, **application))


def test_included_requirements_travel_and_count(docker, project):
    (project / "requirements" / "prod.txt").write_text("-r base.txt\n-c ../limits.txt\n")
    (project / "requirements" / "base.txt").write_text("django\n")
    (project / "limits.txt").write_text("django<6\n")
    application = Application(context=str(project), **LOCKED)
    assert installation(application).files == {"limits.txt", "requirements/base.txt", "requirements/prod.txt"}
    (project / "limits.txt").unlink()
    with pytest.raises(CatalogError, match=r"requirements/prod.txt: there is no file 'limits.txt'"):
        installation(application)


def test_a_uv_lock_brings_its_project_along(docker, project):
    (project / "uv.lock").write_text("version = 1\n")
    (project / "pyproject.toml").write_text("[project]\n")
    needs = installation(Application(context=str(project), requirements="uv.lock"))
    assert needs.files == {"pyproject.toml", "uv.lock"}


def test_packages_alone_need_no_source(docker):
    found = catalog(docker, "shop", Application(packages=("acme[a,b]==1", "gunicorn")))
    assert found["django"]["context"].endswith("no-source")
    assert found["django"]["args"]["PACKAGES"] == "'acme[a,b]==1' gunicorn"


def test_a_base_image_of_the_projects_own_gets_a_base_and_builder_of_its_own(docker, project):
    found = catalog(docker, "shop", Application(context=str(project), **LOCKED, base_image="acme/python:1"))
    assert found["django_base"]["args"]["DEBIAN_IMAGE"] == "acme/python:1"
    assert found["django"]["args"]["BASE_IMAGE"] == found["django_base"]["reference"]
    assert found["redis"]["args"]["BASE_IMAGE"] == found["base"]["reference"]


def test_the_mode_that_a_program_needs_counts(docker, project):
    before = references(docker, project)
    (project / "manage.py").chmod(0o755)
    assert changed(before, references(docker, project)) == {"django"}


@pytest.mark.parametrize("path", [".git/HEAD", "__pycache__/manage.cpython-313.pyc", "shop/__pycache__/x.pyc"])
def test_version_control_and_bytecode_do_not_count(docker, project, path):
    before = references(docker, project)
    (project / path).parent.mkdir(parents=True)
    (project / path).write_text("anything")
    assert changed(before, references(docker, project)) == set()


def test_what_dockerignore_names_does_not_count(docker, project):
    (project / ".dockerignore").write_text("media\n**/*.log\n")
    before = references(docker, project)
    (project / "media").mkdir()
    (project / "media" / "photo").write_text("x")
    (project / "shop").mkdir()
    (project / "shop" / "run.log").write_text("x")
    assert changed(before, references(docker, project)) == set()


def test_a_file_that_keeps_size_and_time_but_moves_counts(docker, project):
    before = references(docker, project)
    os.rename(project / "manage.py", project / "manager.py")
    assert changed(before, references(docker, project)) == {"django"}


def test_parents_stand_before_their_children(docker, project):
    found = catalog(docker, "shop", Application(context=str(project), **LOCKED))
    names = list(found)
    for name, image in found.items():
        assert all(names.index(parent) < names.index(name) for parent in image["parents"])


def test_every_parent_is_a_build_argument(docker, project):
    found = catalog(docker, "shop", Application(context=str(project), **LOCKED))
    assert found["backups"]["args"]["POSTGRES_IMAGE"] == found["postgres"]["reference"]
    assert found["base"]["args"]["DEBIAN_IMAGE"] == "shop/debian:trixie-slim"


def test_without_an_application_there_is_no_django(docker):
    assert "django" not in catalog(docker, "shop", None)


@pytest.mark.parametrize(
    ("application", "variable"),
    [
        ({"context": "/nowhere"}, "backend_context"),
        ({"requirements": "requirements/prd.txt"}, "backend_requirements"),
        ({"requirements": ""}, "backend_requirements, backend_packages"),
        ({"requirements": "../prod.txt"}, "backend_requirements"),
        ({"constraints": "constraints.txt"}, "backend_constraints"),
        ({"target": "production"}, "backend_target"),
        ({"target": "dev", "requirements_dev": "requirements/dev.txt"}, "backend_requirements_dev"),
    ],
)
def test_bad_input_is_refused_with_the_variable_to_change(docker, project, application, variable):
    with pytest.raises(CatalogError, match=f"^{variable}: "):
        catalog(docker, "shop", Application(**{"context": str(project), **LOCKED, **application}))


@pytest.mark.parametrize(
    ("rules", "path", "expected"),
    [
        ("media", "media", True),
        ("media", "media/a/b", True),
        ("media", "shop/media", False),
        ("/media/", "media/a", True),
        ("*.log", "run.log", True),
        ("*.log", "shop/run.log", False),
        ("**/*.log", "run.log", True),
        ("**/*.log", "shop/a/run.log", True),
        ("shop/*/cache", "shop/a/cache/x", True),
        ("shop/**", "shop/a", True),
        ("?.txt", "a.txt", True),
        ("?.txt", "ab.txt", False),
        ("[ab].txt", "b.txt", True),
        ("# comment\n\n", "comment", False),
        ("*\n!manage.py", "manage.py", False),
        ("*\n!manage.py", "other.py", True),
        ("docs\n!docs/keep.md", "docs/keep.md", False),
        ("!manage.py\n*.py", "manage.py", True),
    ],
)
def test_dockerignore(rules, path, expected):
    assert ignore_filter(rules)(path) is expected


def test_an_exception_brings_back_a_file_of_an_ignored_folder(tmp_path):
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "keep.md").write_text("")
    (tmp_path / "docs" / "drop.md").write_text("")
    (tmp_path / ".dockerignore").write_text(".dockerignore\ndocs\n!docs/keep.md\n")
    assert [path for path, _status in context_files(str(tmp_path))] == ["docs/keep.md"]


def test_a_file_name_that_is_no_text_counts(docker, project):
    before = references(docker, project)
    Path(os.fsdecode(os.fsencode(project) + b"/caf\xe9.txt")).write_text("x")
    os.symlink(b"caf\xe9.txt", os.fsencode(project) + b"/lien")
    assert changed(before, references(docker, project)) == {"django"}


@pytest.fixture
def as_nobody(tmp_path: Path):
    """Judge as somebody for whom the rights of files hold, which they do not for root."""
    # All of pytest's own: with several workers there is a private one more.
    for folder in (tmp_path, *tmp_path.parents):
        if folder.name.startswith("pytest-of-"):
            folder.chmod(0o755)
            break
        folder.chmod(0o755)

    def judge(*arguments: object) -> dict[str, str]:
        user = os.geteuid()
        if user == 0:
            os.seteuid(65534)
        try:
            return references(*arguments)
        finally:
            os.seteuid(user)

    return judge


@pytest.mark.parametrize("path", ["pgdata", "dump.sql"])
def test_what_cannot_be_read_is_named(docker, project, as_nobody, path):
    (project / path).mkdir() if path == "pgdata" else (project / path).touch()
    (project / path).chmod(0)
    with pytest.raises(CatalogError, match=f"{path} cannot be read: Permission denied.*dockerignore"):
        as_nobody(docker, project)
    (project / ".dockerignore").write_text(f"{path}\n")
    assert as_nobody(docker, project)["django"]


def test_a_pipe_is_named_and_never_read(docker, project):
    os.mkfifo(project / "control")
    with pytest.raises(CatalogError, match="control is neither a file nor a folder nor a link"):
        references(docker, project)
    (project / ".dockerignore").write_text("control\n")
    assert references(docker, project)["django"]


def test_a_socket_is_in_no_context(docker, project, monkeypatch):
    before = references(docker, project)
    monkeypatch.chdir(project)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind("gunicorn.ctl")
        assert references(docker, project) == before


def test_a_dockerignore_that_is_no_utf_8_is_named(docker, project):
    (project / ".dockerignore").write_bytes("données\n".encode("latin-1"))
    with pytest.raises(CatalogError, match=r"^backend_context: .*\.dockerignore is not UTF-8"):
        references(docker, project)


def test_a_dockerignore_may_begin_with_a_byte_order_mark(docker, project):
    before = references(docker, project)
    (project / ".dockerignore").write_text(".dockerignore\nmedia\n", encoding="utf-8-sig")
    (project / "media").mkdir()
    (project / "media" / "photo").write_text("x")
    assert references(docker, project) == before


def test_in_development_the_code_of_an_editable_folder_does_not_count(docker, project):
    (project / "requirements" / "prod.txt").write_text("-e ./libs/money\n./libs/dates\n")
    for name in ("money", "dates"):
        (project / "libs" / name).mkdir(parents=True)
        (project / "libs" / name / "pyproject.toml").write_text("[project]\n")
        (project / "libs" / name / "code.py").write_text("1\n")
    development = {"target": "dev"}
    before = references(docker, project, **development)
    (project / "libs" / "money" / "code.py").write_text("2\n")
    assert changed(before, references(docker, project, **development)) == set()
    (project / "libs" / "dates" / "code.py").write_text("2\n")
    middle = references(docker, project, **development)
    assert changed(before, middle) == {"django"}
    (project / "libs" / "money" / "pyproject.toml").write_text("[project]\nversion = '2'\n")
    assert changed(middle, references(docker, project, **development)) == {"django"}


def test_what_fetches_from_git_is_installed_for_the_build(docker, project):
    (project / "requirements" / "prod.txt").write_text("acme @ git+ssh://git@git.lan/acme.git@v1\n")
    found = catalog(docker, "shop", Application(context=str(project), **LOCKED, build_packages=("gcc",)))
    assert found["django"]["args"]["BUILD_PACKAGES"] == "gcc git openssh-client"


def modes(folder: Path) -> dict[str, int]:
    return {str(path.relative_to(folder)): path.lstat().st_mode & 0o777 for path in sorted(folder.rglob("*"))}


def test_a_checkout_under_another_umask_makes_the_same_images(docker, project, tmp_path):
    before = references(docker, project)
    catalog_before = catalog(docker, "shop", Application(context=str(project), **LOCKED))
    copies = {}
    for name, mask in (("usual", 0o777), ("private", 0o700)):
        for path in [*docker.rglob("*"), *project.rglob("*")]:
            path.chmod(path.stat().st_mode & mask)
        assert references(docker, project) == before
        for image in ("backups", "django"):
            target = tmp_path / name / image
            target.mkdir(parents=True)
            copy_context(catalog_before[image]["context"], str(target), catalog_before[image]["programs"])
        copies[name] = modes(tmp_path / name)
    assert copies["usual"] == copies["private"]
    assert copies["private"]["backups/command"] == 0o755
    assert copies["private"]["backups/backups/__init__.py"] == 0o644


@pytest.mark.parametrize("mode", [0o644, 0o777])
def test_executable_bits_of_a_checkout_are_no_part_of_our_images(docker, project, mode):
    """Of a file system without modes, where all files are programs or none is."""
    before = references(docker, project)
    for path in docker.rglob("*"):
        if path.is_file():
            path.chmod(mode)
    assert references(docker, project) == before


def test_the_programs_of_our_images_are_those_of_the_repository(root, docker, project):
    found = catalog(docker, "shop", Application(context=str(project), **LOCKED))
    for image in found.values():
        if image["programs"] is not None:
            folder = Path(image["context"])
            assert {path for path, _status in context_files(str(folder)) if os.access(folder / path, os.X_OK)} == set(
                image["programs"]
            )


def test_a_program_of_the_application_stays_one_and_a_link_stays_a_link(project, tmp_path):
    (project / "run.sh").write_text("#!/bin/sh\n")
    (project / "run.sh").chmod(0o700)
    (project / "link").symlink_to("run.sh")
    (project / ".git").mkdir()
    (project / ".git" / "config").write_text("")
    target = tmp_path / "copy"
    target.mkdir(mode=0o700)
    copy_context(str(project), str(target))
    found = modes(target)
    assert (found["run.sh"], found["manage.py"], found["requirements"]) == (0o755, 0o644, 0o755)
    assert os.readlink(target / "link") == "run.sh"
    assert not (target / ".git").exists()
