"""Static files of a new image join those of earlier ones."""

from __future__ import annotations

import runpy
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[2] / "roles" / "django_web" / "files" / "publish_static.py"
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


def test_an_image_without_the_folder_is_told_what_to_set(folders, capsys):
    _source, target = folders
    assert main(["/nowhere", str(target)]) == 1
    assert "django_web_static_root" in capsys.readouterr().out
