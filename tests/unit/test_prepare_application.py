"""The program that collects an application's static files while its image is built, with a folder instead of /."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest

PROGRAM = Path(__file__).resolve().parents[2] / "docker/base/commands/prepare-application"


@pytest.fixture
def prepare(tmp_path: Path):
    """Run the program with a command that collects a file into a folder and says so in Django's words."""
    program = tmp_path / "prepare-application"
    program.write_text(re.sub(r"/(app|layer)\b", r"%s/\1" % tmp_path, PROGRAM.read_text()))
    commands = tmp_path / "bin"
    commands.mkdir()
    (tmp_path / "app").mkdir()
    recorder = commands / "record-layer"
    recorder.write_text('"$@"; mkdir -p %s/layer\n' % tmp_path)
    recorder.chmod(0o755)

    def run(folder: str, said: str, *, root: str = "app/staticfiles") -> subprocess.CompletedProcess:
        command = tmp_path / "collect"
        lines = ["mkdir -p %s && touch %s/a.css" % (folder, folder)] if folder else []
        command.write_text("\n".join([*lines, 'echo; echo "%s"' % said]))
        env = {
            "PATH": "%s:%s" % (commands, os.environ["PATH"]),
            "STATIC_COMMAND": "sh %s" % command,
            "STATIC_ROOT": str(tmp_path / root),
            "WORKING_DIR": str(tmp_path / "app"),
            "BUILD_ENV": "",
            "INSTALL_PROJECT": "",
        }
        return subprocess.run(["bash", program], env=env, capture_output=True, text=True, check=False)

    return run


def test_collected_files_become_a_layer(prepare, tmp_path: Path) -> None:
    done = prepare("staticfiles", "1 static file copied to '/app/staticfiles'.")
    assert done.returncode == 0, done.stderr
    assert "1 static file copied" in done.stdout
    assert (tmp_path / ("layer%s/app/staticfiles/a.css" % tmp_path)).is_file()


@pytest.mark.parametrize(
    "said",
    [
        "130 static files copied to '/app/server/staticfiles', 390 post-processed.",
        "1 static file symlinked to '/app/server/staticfiles'.",
        "0 static files copied to '/app/server/staticfiles', 130 unmodified.",
    ],
)
def test_files_that_were_collected_elsewhere_end_the_build(prepare, said: str) -> None:
    done = prepare("server/staticfiles", said)
    assert done.returncode == 1
    assert said in done.stdout
    assert "backend_static_root" in done.stderr
    assert "backend_static_source" in done.stderr
    assert "/app/server/staticfiles" in done.stderr


def test_an_application_without_static_files_builds(prepare, tmp_path: Path) -> None:
    for said in ("0 static files copied to '/app/staticfiles'.", "nothing to do"):
        done = prepare("", said)
        assert done.returncode == 0, done.stderr
    assert (tmp_path / ("layer%s/app/staticfiles" % tmp_path)).is_dir()


def test_a_pattern_of_what_is_in_the_image_is_not_looked_into(prepare) -> None:
    assert prepare("server/static", "1 static file copied to '/x'.", root="lib/*/static").returncode == 0
