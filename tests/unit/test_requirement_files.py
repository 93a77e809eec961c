"""What the installation of an application reads of its source, and what keeps it from doing so."""

from __future__ import annotations

from pathlib import Path

import pytest
from ansible_collections.broadcast.stack.plugins.plugin_utils.images.context import ignore_filter
from ansible_collections.broadcast.stack.plugins.plugin_utils.images.python_version import allows, python_faults
from ansible_collections.broadcast.stack.plugins.plugin_utils.images.requirement_files import Needs, inspect, local_path
from ansible_collections.broadcast.stack.plugins.plugin_utils.images.text_files import logical_lines


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A project with a package beside it and an archive."""
    for path in ("libs/money/pyproject.toml", "vendor/acme-1.0-py3-none-any.whl", "shop/manage.py"):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).touch()
    return tmp_path


def look(source: Path, text: str | bytes, *, name: str = "requirements.txt", ignore: str = "", **options) -> Needs:
    file = source / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(text.encode() if isinstance(text, str) else text)
    return inspect(str(source), {"backend_requirements": name}, skipped=ignore_filter(ignore), **options)


@pytest.mark.parametrize(
    ("requirement", "path"),
    [
        (".", "."),
        (".[postgres]", "."),
        ("./libs/money", "./libs/money"),
        ("./libs/money[eur,usd]", "./libs/money"),
        ("libs/money", "libs/money"),
        ("libs/money/", "libs/money/"),
        ("../money", "../money"),
        ("/app/libs/money", "/app/libs/money"),
        ("file:///app/libs/money", "/app/libs/money"),
        ("file:libs/money#egg=money", "libs/money"),
        ("money @ file:///app/libs/money", "/app/libs/money"),
        ("money[eur] @ file:libs/money", "libs/money"),
        ("acme-1.0-py3-none-any.whl", "acme-1.0-py3-none-any.whl"),
        ("./vendor/acme-1.0.tar.gz ; python_version < '3.14'", "./vendor/acme-1.0.tar.gz"),
        ("./vendor/acme.whl --hash=sha256:abc", "./vendor/acme.whl"),
        ("django==5.2", ""),
        ("django[argon2]>=5 ; sys_platform == 'linux'", ""),
        ("https://example.org/acme-1.0.tar.gz", ""),
        ("acme @ https://example.org/acme/acme-1.0.tar.gz", ""),
        ("git+https://example.org/acme/acme.git@v1#egg=acme", ""),
    ],
)
def test_a_local_path_is_told_from_a_name_and_an_address(requirement, path):
    assert local_path(requirement) == path


def test_lines_are_pips():
    text = "\n".join(["# whole", "django==5 \\", "  --hash=sha256:1 # why", "", "acme#egg", "last \\"])
    assert list(logical_lines(text)) == ["django==5   --hash=sha256:1", "acme#egg", "last"]


@pytest.mark.parametrize(
    ("text", "folders", "files"),
    [
        ("-e .\n", {"."}, set()),
        ("--editable=./libs/money\n", {"libs/money"}, set()),
        ("-e file:///app/libs/money\n", {"libs/money"}, set()),
        ("./vendor/acme-1.0-py3-none-any.whl\n", set(), {"vendor/acme-1.0-py3-none-any.whl"}),
        ("--find-links=vendor\nacme==1.0\n", {"vendor"}, set()),
        ("-f vendor\nacme==1.0\n", {"vendor"}, set()),
        ("-f https://example.org/wheels/\n-i https://example.org/simple\ndjango\n", set(), set()),
    ],
)
def test_what_is_installed_from_the_source_travels(source, text, folders, files):
    needs = look(source, text)
    assert needs.faults == []
    assert (needs.folders, needs.files) == (folders, files | {"requirements.txt"})


@pytest.mark.parametrize(
    "line", ["-r more/base.txt", "-rmore/base.txt", "--requirement=more/base.txt", "-c more/base.txt"]
)
def test_included_files_travel(source, line):
    (source / "more").mkdir()
    (source / "more" / "base.txt").write_text("-r ../last.txt\n")
    (source / "last.txt").write_text("django\n")
    assert look(source, line + "\n").files == {"requirements.txt", "more/base.txt", "last.txt"}


def test_files_that_include_each_other_end(source):
    (source / "a.txt").write_text("-r requirements.txt\n")
    assert look(source, "-r a.txt\n").files == {"requirements.txt", "a.txt"}


def test_an_include_may_name_a_variable_of_the_build(source):
    (source / "base-eu.txt").write_text("django\n")
    needs = look(source, "-r base-${REGION}.txt\n", environment={"REGION": "eu"})
    assert needs.files == {"requirements.txt", "base-eu.txt"}
    (fault,) = look(source, "-r base-${REGION}.txt\n").faults
    assert "REGION" in fault.text
    assert "backend_build_env" in fault.remedy


def test_a_secret_in_an_address_is_none_of_preflights(source):
    needs = look(source, "acme @ git+https://${GIT_TOKEN}@git.lan/acme.git\n")
    assert needs.faults == []
    assert needs.programs == {"git"}


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-32"])
def test_a_byte_order_mark_tells_the_encoding(source, encoding):
    (source / "base.txt").write_text("django\n")
    needs = look(source, "-r base.txt\n".encode(encoding))
    assert needs.faults == []
    assert needs.files == {"requirements.txt", "base.txt"}


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("# café\n".encode("latin-1"), "is not UTF-8 (byte 0xe9 in line 1)"),
        ("django\n".encode("utf-16-le"), "UTF-16 without a byte order mark"),
        (b"django\n\0", "is no text"),
    ],
)
def test_what_is_no_text_is_named(source, content, reason):
    (fault,) = look(source, content).faults
    assert fault.subject == "requirements.txt"
    assert reason in fault.text
    assert "UTF-8" in fault.remedy


@pytest.mark.parametrize(
    ("text", "ignore", "reason"),
    [
        ("django\n", "*\n!manage.py\n", "requirements.txt is kept out of the build by"),
        ("./libs/money\n", "libs\n", "libs/money/pyproject.toml is kept out of the build by"),
        ("./vendor/acme-1.0-py3-none-any.whl\n", "**/*.whl\n", "acme-1.0-py3-none-any.whl is kept out of the build by"),
        ("./libs/dates\n", "", "installs libs/dates, and that is not in backend_context"),
        ("../money\n", "", "leads out of backend_context"),
        ("-r ../base.txt\n", "", "leads out of backend_context"),
        ("/srv/money\n", "", "leads out of backend_context"),
        ("-r base.txt\n", "", "there is no file 'base.txt'"),
    ],
)
def test_what_a_build_would_lack_is_told(source, text, ignore, reason):
    (fault,) = look(source, text, ignore=ignore).faults
    assert reason in fault.text
    assert fault.remedy


def test_paths_count_from_the_folder_in_which_all_are_found(source):
    assert look(source, "./libs/money\n", name="requirements/prod.txt").folder == "."
    needs = look(source, "../libs/money\n", name="shop/requirements.txt", working_dir="/app/shop")
    assert needs.faults == []
    assert (needs.folder, needs.folders) == ("shop", {"libs/money"})


LOCK = """
version = 1
[[package]]
name = "root"
source = { virtual = "." }
[[package]]
name = "shop"
source = { editable = "shop" }
[[package]]
name = "money"
source = { editable = "libs/money" }
[[package]]
name = "acme"
source = { path = "vendor/acme-1.0-py3-none-any.whl" }
[[package]]
name = "remote"
source = { git = "ssh://git@git.lan/remote.git?rev=v1#abc" }
[[package]]
name = "django"
source = { registry = "https://pypi.org/simple" }
"""


def test_a_uv_lock_names_its_members(source):
    (source / "pyproject.toml").touch()
    (source / "shop" / "pyproject.toml").touch()
    needs = look(source, LOCK, name="uv.lock", working_dir="/app/shop")
    assert needs.faults == []
    assert needs.project == "shop"
    assert needs.folders == {"libs/money"}
    assert needs.files == {"uv.lock", "pyproject.toml", "shop/pyproject.toml", "vendor/acme-1.0-py3-none-any.whl"}
    assert needs.programs == {"git", "openssh-client"}
    alone = look(source, LOCK, name="uv.lock")
    assert (alone.project, alone.folders) == (".", {"libs/money", "shop"})


def test_a_lock_that_is_no_toml_is_named(source):
    (source / "pyproject.toml").touch()
    (fault,) = look(source, "<<<<<<< HEAD\n", name="uv.lock").faults
    assert fault.subject == "uv.lock"
    assert "is no TOML" in fault.text


def test_a_pylock_names_what_it_installs_from(source):
    text = """
lock-version = "1.0"
[[packages]]
name = "money"
directory = { path = "libs/money" }
[[packages]]
name = "acme"
wheels = [{ path = "vendor/acme-1.0-py3-none-any.whl" }]
"""
    needs = look(source, text, name="pylock.toml")
    assert (needs.folders, needs.files) == ({"libs/money"}, {"pylock.toml", "vendor/acme-1.0-py3-none-any.whl"})


@pytest.mark.parametrize(
    ("specifier", "python", "expected"),
    [
        (">=3.12", "3.13", True),
        (">=3.13.2", "3.13", True),
        ("<3.13", "3.13", False),
        ("==3.12.*", "3.13", False),
        ("~=3.12", "3.13", True),
        (">=3.14", "3.13", False),
    ],
)
def test_a_specifier_allows_a_python(specifier, python, expected):
    assert allows(specifier, python) is expected


@pytest.mark.parametrize(
    ("pin", "demanded", "chosen", "reasons"),
    [
        ("3.13", ">=3.12", False, []),
        ("3.13.1\n", "", False, []),
        ("cpython-3.13", "", False, []),
        ("shop-env", "", False, []),
        ("3.12", "", False, [".python-version asks for Python 3.12, the image has 3.13"]),
        ("3.12.4", "", False, [".python-version asks for Python 3.12.4, the image has 3.13"]),
        ("3.12", "", True, []),
        ("3.1", "", False, [".python-version asks for Python 3.1, the image has 3.13"]),
        ("", "<3.13", False, ["pyproject.toml asks for Python <3.13, the image has 3.13"]),
        ("", "<3.13", True, ["pyproject.toml asks for Python <3.13, the image has 3.13"]),
    ],
)
def test_the_python_of_the_source_is_that_of_the_image(source, pin, demanded, chosen, reasons):
    if pin:
        (source / ".python-version").write_text(pin)
    if demanded:
        (source / "pyproject.toml").write_text(f'[project]\nrequires-python = "{demanded}"\n')
    faults = python_faults(str(source), ["."], "3.13", chosen=chosen)
    assert [fault.text for fault in faults] == reasons
    assert all("backend_python" in fault.remedy for fault in faults)
