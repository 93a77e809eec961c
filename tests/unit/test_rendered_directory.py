"""The directory module against a real directory."""

from __future__ import annotations

import os

import pytest
from ansible_collections.broadcast.stack.plugins.modules import rendered_directory


@pytest.fixture
def directory(tmp_path):
    return rendered_directory.Directory(str(tmp_path / "secrets"), os.getuid(), os.getgid(), "0500", "0400")


def mode(path):
    return "%04o" % (os.stat(path).st_mode & 0o7777)


def test_files_are_written_with_modes_and_a_second_run_changes_nothing(directory):
    written, removed, _before = rendered_directory.converge(directory, {"a": "1", "sub/b": "2"}, False)
    assert (written, removed) == (["a", "sub/b"], [])
    assert [mode(directory.path + name) for name in ("", "/a", "/sub")] == ["0500", "0400", "0500"]
    assert rendered_directory.converge(directory, {"a": "1", "sub/b": "2"}, False)[:2] == ([], [])


def test_changed_and_foreign_files_are_put_right(directory):
    rendered_directory.converge(directory, {"a": "1", "b": "2"}, False)
    written, removed, before = rendered_directory.converge(directory, {"a": "3"}, False)
    assert (written, removed, before) == (["a"], ["b"], {"a": "1"})
    assert directory.present() == ["a"]
    assert directory.read("a") == "3"


def test_a_changed_mode_is_put_right(directory):
    rendered_directory.converge(directory, {"a": "1"}, False)
    os.chmod(directory.path + "/a", 0o644)
    assert rendered_directory.converge(directory, {"a": "1"}, False)[0] == ["a"]
    assert mode(directory.path + "/a") == "0400"


def test_check_mode_writes_nothing(directory):
    assert rendered_directory.converge(directory, {"a": "1"}, True)[0] == ["a"]
    assert not os.path.exists(directory.path)


def test_no_temporary_file_stays_behind(directory):
    rendered_directory.converge(directory, {"a": "1"}, False)
    assert os.listdir(directory.path) == ["a"]
