"""Commands of a release run in order, in time and perhaps once; new static files join those of earlier images."""

from __future__ import annotations

import json
import runpy
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[2] / "roles" / "django_web" / "files" / "release.py"
SCRIPT_NAMES = runpy.run_path(str(SCRIPT))
publish, main = SCRIPT_NAMES["publish"], SCRIPT_NAMES["main"]


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    source, target = tmp_path / "image", tmp_path / "volume"
    (source / "css").mkdir(parents=True)
    (source / "css" / "new.css").write_text("new")
    (source / "index.txt").write_text("second")
    target.mkdir()
    (target / "old.css").write_text("old")
    (target / "index.txt").write_text("first")
    return source, target


def test_old_files_stay_and_changed_ones_are_replaced(folders):
    source, target = folders
    assert publish(source, target) == 2
    assert (target / "old.css").read_text() == "old"
    assert (target / "index.txt").read_text() == "second"
    assert (target / "css" / "new.css").read_text() == "new"


def test_equal_files_are_left_alone(folders):
    source, target = folders
    publish(source, target)
    before = (target / "index.txt").stat().st_ino
    assert publish(source, target) == 0
    assert (target / "index.txt").stat().st_ino == before


def test_another_user_can_read_them_and_nothing_half_written_remains(folders):
    source, target = folders
    publish(source, target)
    files = [path for path in target.rglob("*") if path.is_file()]
    assert sorted(path.name for path in files) == ["index.txt", "new.css", "old.css"]
    assert {path.stat().st_mode & 0o777 for path in files} == {0o644}


@pytest.fixture
def release(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Runs a release of commands; returns its exit code."""
    notes = tmp_path / "notes"
    notes.mkdir()
    monkeypatch.setitem(SCRIPT_NAMES["note"].__globals__, "NOTES", notes)

    def run(*commands: dict, static: dict | None = None) -> int:
        full = [
            {"name": "", "working_dir": str(tmp_path), "timeout": 20, "env": {}, "once": False, **command}
            for command in commands
        ]
        (tmp_path / "release.json").write_text(json.dumps({"commands": full, "static": static}))
        return main(str(tmp_path / "release.json"))

    return run


def python(code: str) -> list[str]:
    return [sys.executable, "-c", code]


def test_commands_run_in_order_with_their_directory_and_environment(release, tmp_path):
    code = "import os; open('log', 'a').write(os.environ['WORD'] + os.path.basename(os.getcwd()) + ' ')"
    (tmp_path / "inner").mkdir()
    first = {"command": python(code), "env": {"WORD": "a-"}}
    second = {"command": python(code), "env": {"WORD": "b-"}, "working_dir": str(tmp_path / "inner")}
    assert release(first, second) == 0
    assert (tmp_path / "log").read_text() == f"a-{tmp_path.name} "
    assert (tmp_path / "inner" / "log").read_text() == "b-inner "


def test_a_failing_command_ends_the_release_with_its_name(release, tmp_path, capsys):
    assert release({"command": python("raise SystemExit(3)")}, {"command": python("open('log', 'w')")}) == 1
    assert "exit code 3" in capsys.readouterr().out
    assert not (tmp_path / "log").exists()


def test_a_command_that_takes_too_long_is_stopped_with_what_it_started(release, capsys):
    code = "import subprocess, time; subprocess.Popen(['sleep', '60']); time.sleep(60)"
    assert release({"command": python(code), "timeout": 1}) == 1
    assert "not done after 1 seconds" in capsys.readouterr().out


def test_an_unknown_program_and_an_unknown_directory_are_named(release, capsys):
    assert release({"command": ["no-such-program"]}) == 1
    assert "no-such-program: No such file" in capsys.readouterr().out
    assert release({"command": ["true"], "working_dir": "/nowhere"}) == 1
    assert "/nowhere" in capsys.readouterr().out


def test_once_is_once_after_success_only(release, tmp_path):
    fails = {"name": "admin", "once": True, "command": python("raise SystemExit(1)")}
    works = {"name": "admin", "once": True, "command": python("open('log', 'a').write('x')")}
    assert release(fails) == 1
    assert release(works) == 0
    assert release(works) == 0
    assert (tmp_path / "log").read_text() == "x"


def test_static_files_may_be_named_by_a_pattern(release, folders, tmp_path, capsys):
    _source, target = folders
    assert release(static={"source": str(tmp_path / "ima*"), "target": str(target)}) == 0
    assert "2 static files published" in capsys.readouterr().out


def test_an_image_without_the_folder_is_told_what_to_set(release, tmp_path, capsys):
    assert release(static={"source": "/nowhere", "target": str(tmp_path)}) == 1
    assert "django_web_static_root" in capsys.readouterr().out
