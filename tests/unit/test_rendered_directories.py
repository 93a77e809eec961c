"""The directory module against a real directory."""

from __future__ import annotations

import os

import pytest
from ansible_collections.broadcast.stack.plugins.modules import rendered_directories


@pytest.fixture
def directory(tmp_path):
    return rendered_directories.Directory(str(tmp_path / "secrets"), os.getuid(), os.getgid(), "0500", "0400", {})


def mode(path):
    return "%04o" % (os.stat(path).st_mode & 0o7777)


def test_files_are_written_with_modes_and_a_second_run_changes_nothing(directory):
    written, removed, _before = rendered_directories.converge(directory, {"a": "1", "sub/b": "2"}, False)
    assert (written, removed) == (["a", "sub/b"], [])
    assert [mode(directory.path + name) for name in ("", "/a", "/sub")] == ["0500", "0400", "0500"]
    assert rendered_directories.converge(directory, {"a": "1", "sub/b": "2"}, False)[:2] == ([], [])


def test_changed_and_foreign_files_are_put_right(directory):
    rendered_directories.converge(directory, {"a": "1", "b": "2"}, False)
    written, removed, before = rendered_directories.converge(directory, {"a": "3"}, False)
    assert (written, removed, before) == (["a"], ["b"], {"a": "1"})
    assert directory.present() == ["a"]
    assert directory.read("a") == "3"


def test_a_changed_mode_is_put_right(directory):
    rendered_directories.converge(directory, {"a": "1"}, False)
    os.chmod(directory.path + "/a", 0o644)
    assert rendered_directories.converge(directory, {"a": "1"}, False)[0] == ["a"]
    assert mode(directory.path + "/a") == "0400"


def test_check_mode_writes_nothing(directory):
    assert rendered_directories.converge(directory, {"a": "1"}, True)[0] == ["a"]
    assert not os.path.exists(directory.path)


def test_no_temporary_file_stays_behind(directory):
    rendered_directories.converge(directory, {"a": "1"}, False)
    assert os.listdir(directory.path) == ["a"]


@pytest.mark.parametrize("name", ["../x", "/etc/x", "a/../../x"])
def test_a_name_that_leaves_the_directory_is_refused(name):
    with pytest.raises(ValueError, match="must stay inside /srv"):
        rendered_directories.inside("/srv", {name: ""})


def test_a_file_may_have_a_mode_of_its_own(tmp_path):
    access = {"b": {"uid": os.getuid(), "gid": os.getgid(), "mode": "0644"}}
    one = rendered_directories.Directory(str(tmp_path / "x"), os.getuid(), os.getgid(), "0700", "0400", access)
    rendered_directories.converge(one, {"a": "1", "b": "2"}, False)
    assert [mode(one.path + name) for name in ("/a", "/b")] == ["0400", "0644"]
    assert rendered_directories.converge(one, {"a": "1", "b": "2"}, False)[:2] == ([], [])
