"""The backup program: schedule, health, refusal of restores that cannot succeed, and exchanges that can be undone."""

from __future__ import annotations

import argparse
import contextlib
import datetime
import json
import sys
import time
from pathlib import Path

import pytest
from ansible_collections.broadcast.stack.plugins.plugin_utils.services.cron import Schedule

# A cache of compiled code beside the program would be in the way of whoever copies the folder.
sys.dont_write_bytecode = True
ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "docker" / "backups"))

from backups import commands, common, database, volumes


def epoch(text: str) -> float:
    return datetime.datetime.fromisoformat(text).replace(tzinfo=datetime.UTC).timestamp()


def entry(kind: str, start: str, label: str = "x") -> common.Backup:
    return common.Backup(label, kind, epoch(start), epoch(start) + 60, 2**20, {"volumes": ["media"]}, {})


SCHEDULES = {"full": Schedule("0 2 * * 0"), "diff": Schedule("0 2 * * 1-6")}
NOW = epoch("2026-03-10 12:00")
FRESH = [entry("full", "2026-03-10 02:00")]


@pytest.mark.parametrize(
    ("taken", "now", "expected"),
    [
        ([], "2026-03-10 12:00", "full"),
        ([("incr", "2026-03-10 11:00")], "2026-03-10 12:00", "full"),
        ([("full", "2026-03-10 11:00")], "2026-03-10 12:00", None),
        ([("full", "2026-03-08 02:00")], "2026-03-08 02:01", None),
        ([("full", "2026-03-08 02:00")], "2026-03-09 02:01", "diff"),
        ([("full", "2026-03-08 02:00"), ("diff", "2026-03-09 02:00")], "2026-03-09 09:00", None),
        # The host was off for a week: the full backup is caught up, once, and counts for the differential one.
        ([("full", "2026-03-01 02:00"), ("diff", "2026-03-02 02:00")], "2026-03-10 09:00", "full"),
        ([("full", "2026-03-01 02:00"), ("full", "2026-03-10 09:00")], "2026-03-10 09:05", None),
    ],
)
def test_due_backup_is_the_one_that_was_not_started_since_its_time(taken: list, now: str, expected: str | None) -> None:
    assert commands.due([entry(*backup) for backup in taken], SCHEDULES, epoch(now)) == expected


@pytest.mark.parametrize(
    ("taken", "last", "expected"),
    [
        (FRESH, {}, ""),
        (FRESH, {"problem": "", "at": 0}, ""),
        (FRESH, {"problem": "backup failed", "at": 0}, "backup failed"),
        ([], {}, "no backup"),
        ([entry("full", "2026-03-09 02:00")], {}, "33 hours old"),
    ],
)
def test_health_names_why_backups_cannot_be_relied_upon(taken: list, last: dict, expected: str) -> None:
    found = commands.problem(taken, last, 26 * 3600, NOW)
    assert expected in found
    assert bool(found) == bool(expected)


def test_archive_that_fails_counts_after_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    subject = database.Database()
    monkeypatch.setattr(subject, "archive_fails", lambda: True)
    assert subject.concern(NOW) == ""
    assert "not been archived since 2026-03-10 12:00:00 UTC" in subject.concern(NOW + 3600)
    monkeypatch.setattr(subject, "archive_fails", lambda: False)
    assert subject.concern(NOW + 3600) == ""


@pytest.mark.parametrize("kind", [database.Database, volumes.Volumes])
@pytest.mark.parametrize(
    ("target", "reason"),
    [
        ("yesterday", "no time"),
        ("2026-03-10 12:00:00", "time zone"),
        ("2026-03-10 01:00:00+00:00", "oldest"),
        ("2999-01-01 00:00:00+00:00", "future"),
    ],
)
def test_restore_target_that_cannot_be_reached_is_refused(
    kind: type, target: str, reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    subject = kind()
    monkeypatch.setattr(subject, "backups", lambda: FRESH)
    with pytest.raises(common.BackupError, match=reason):
        subject.check(target, "")


@pytest.mark.parametrize("kind", [database.Database, volumes.Volumes])
def test_restore_without_any_backup_or_of_an_unknown_one_is_refused(
    kind: type, monkeypatch: pytest.MonkeyPatch
) -> None:
    subject = kind()
    monkeypatch.setattr(subject, "backups", list)
    with pytest.raises(common.BackupError, match=r"no backup|there is none"):
        subject.check("", "")
    monkeypatch.setattr(subject, "backups", lambda: FRESH)
    with pytest.raises(common.BackupError, match="there is no backup y; there are x"):
        subject.check("", "y")


def test_command_that_fails_is_named_with_its_errors() -> None:
    script = "echo 'P00  ERROR: [082]: WAL was not archived'; echo '   HINT: look'; exit 82"
    with pytest.raises(common.BackupError, match=r"exit code 82: \[082\]: WAL was not archived; look"):
        common.run(["sh", "-c", script])


def test_silent_command_still_gives_signs_of_life() -> None:
    signs: list[float] = []
    common.run(["sleep", "0.1"], alive=lambda: signs.append(time.time()))
    assert signs


# The database --------------------------------------------------------------------------------------------------------


def test_swap_keeps_the_old_data_and_revert_brings_it_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = tmp_path / "main"
    monkeypatch.setattr(database, "DATA", data)
    monkeypatch.setattr(database, "timeline", lambda directory: 1)
    for directory, text in ((data, "old"), (tmp_path / "main.restore", "restored")):
        directory.mkdir()
        (directory / "PG_VERSION").write_text(text)
    subject = database.Database()
    subject.swap("20260310T120000Z")
    assert (data / "PG_VERSION").read_text() == "restored"
    assert [path.name for path in database.kept()] == ["main.before-20260310T120000Z"]
    assert subject.revert("20260310T120000Z") == (True, "the old data is back in its place")
    assert (data / "PG_VERSION").read_text() == "old"
    assert database.kept() == []


def test_revert_leaves_restored_data_that_was_opened_for_writing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = tmp_path / "main"
    monkeypatch.setattr(database, "DATA", data)
    monkeypatch.setattr(database, "timeline", lambda directory: 2 if directory == data else 1)
    data.mkdir()
    (tmp_path / "main.before-x").mkdir()
    old, state = database.Database().revert("x")
    assert data.exists()
    assert not old
    assert "stays" in state


def test_tablespaces_of_what_is_discarded_go_and_those_in_use_stay(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = tmp_path / "17" / "main"
    monkeypatch.setattr(database, "DATA", data)
    spaces = {
        data: data.with_name("tablespaces-2") / "fast",
        data.with_name("main.before-x"): tmp_path / "fast",
        # Of a restore that failed.
        None: data.with_name("tablespaces-1") / "fast",
    }
    for directory, space in spaces.items():
        space.mkdir(parents=True)
        if directory:
            (directory / "pg_tblspc").mkdir(parents=True)
            (directory / "pg_tblspc" / "16400").symlink_to(space)
    assert database.Database().discard() == ["main.before-x"]
    assert sorted(path.name for path in data.parent.iterdir()) == ["main", "tablespaces-2"]
    assert spaces[data].is_dir()
    assert not (tmp_path / "fast").exists()


def test_repository_of_another_database_names_the_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    script = "echo 'ERROR: [028]: backup and archive info files exist but do not match the database'; exit 28"
    subject = database.Database()
    monkeypatch.setattr(subject, "pgbackrest", lambda *_arguments, alive: common.run(["sh", "-c", script], alive))
    with pytest.raises(common.BackupError, match="of another database; restore it, or give"):
        subject.prepare(None)


# The volumes ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kinds", "keep", "gone"),
    [
        ("", 1, 0),
        ("f", 1, 0),
        ("fddd", 1, 0),
        # The last one before the oldest full backup that is kept stays.
        ("fddf", 1, 2),
        ("fddfd", 1, 2),
        ("ff", 1, 0),
        ("fff", 1, 1),
        ("fdfdfd", 2, 1),
        ("fdfdfd", 3, 0),
    ],
)
def test_retention_counts_full_backups_as_pgbackrest_does(kinds: str, keep: int, gone: int) -> None:
    taken = [entry({"f": "full", "d": "diff"}[kind], "2026-03-%02d 02:00" % day) for day, kind in enumerate(kinds, 1)]
    assert volumes.expired(taken, keep) == taken[:gone]


def test_restored_are_the_files_of_the_last_backup_that_is_not_newer(monkeypatch: pytest.MonkeyPatch) -> None:
    taken = [entry("full", "2026-03-08 02:00", "a"), entry("diff", "2026-03-09 02:00", "b")]
    subject = volumes.Volumes()
    monkeypatch.setattr(subject, "backups", lambda: taken)
    assert subject.chosen("2026-03-09 01:59:59+00:00", "").label == "a"
    assert subject.chosen("2026-03-09 02:00:00+00:00", "").label == "b"
    assert subject.chosen("", "").label == "b"
    assert subject.chosen("", "a").label == "a"


def test_snapshots_are_read_as_restic_lists_them() -> None:
    summary = {
        "backup_end": "2026-03-10T02:00:07.5Z",
        "total_files_processed": 3,
        "total_bytes_processed": 3 * 2**20,
        "data_added_packed": 2**20,
    }
    listed = [
        {
            "short_id": "b",
            "time": "2026-03-10T02:00:01.123456789Z",
            "tags": ["diff", "volume=media", "room=media:4096"],
        },
        {"short_id": "a", "time": "2026-03-09T02:00:01Z", "tags": ["full", "volume=media"]},
    ]
    older, newer = volumes.parsed(json.dumps([{**snapshot, "summary": summary} for snapshot in listed]))
    assert (older.label, older.type, older.room) == ("a", "full", {})
    assert newer.room == {"media": 4096}
    assert newer.described() == {
        "label": "b",
        "type": "diff",
        "finished": "2026-03-10 02:00:07 UTC",
        "seconds": 6,
        "volumes": ["media"],
        "files": 3,
        "volumes_mb": 3.0,
        "repository_mb": 1.0,
    }


EARLIER, NOW_STAMP = "20260301T120000Z", "20260310T120000Z"


@pytest.fixture
def mounted(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two volumes with restored files in them, one of them with what an earlier restore kept."""
    monkeypatch.setattr(volumes, "VOLUMES", tmp_path)
    monkeypatch.setattr(volumes, "EXCHANGED", tmp_path_factory.mktemp("repository") / "exchanged")
    for name in ("documents", "media"):
        (tmp_path / name / "folder").mkdir(parents=True)
        (tmp_path / name / "folder" / "file").write_text("old")
        (tmp_path / name / "added").write_text("old")
        (tmp_path / name / ".broadcast-restore" / "content" / "folder").mkdir(parents=True)
        (tmp_path / name / ".broadcast-restore" / "content" / "folder" / "file").write_text("restored")
    (tmp_path / "media" / f".before-{EARLIER}").mkdir()
    return tmp_path


def content(root: Path) -> dict[str, str]:
    return {
        str(path.relative_to(root)): path.read_text()
        for path in root.rglob("*")
        if path.is_file() and not path.relative_to(root).parts[1].startswith(".")
    }


OLD = {f"{name}/{file}": "old" for name in ("documents", "media") for file in ("added", "folder/file")}
RESTORED = {f"{name}/folder/file": "restored" for name in ("documents", "media")}


def test_files_change_places_and_the_old_are_kept_where_nobody_else_can_read(mounted: Path) -> None:
    subject = volumes.Volumes()
    subject.swap(NOW_STAMP)
    assert content(mounted) == RESTORED
    kept = mounted / "media" / f".before-{NOW_STAMP}"
    assert (kept / "added").read_text() == "old"
    assert kept.stat().st_mode & 0o777 == 0o700
    assert not list(mounted.glob("*/.*restore*"))
    assert subject.discard() == [
        f"documents/.before-{NOW_STAMP}",
        f"media/.before-{EARLIER}",
        f"media/.before-{NOW_STAMP}",
    ]
    assert content(mounted) == RESTORED


class InterruptedMoveError(Exception):
    pass


def interrupt(monkeypatch: pytest.MonkeyPatch, renames: int) -> None:
    """Let only so many renames succeed."""
    rename, left = Path.rename, [renames]

    def limited(path: Path, target: Path) -> Path:
        if left[0] == 0:
            raise InterruptedMoveError
        left[0] -= 1
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", limited)


@pytest.mark.parametrize("swapped", range(8))
@pytest.mark.parametrize("reverted", range(10))
def test_old_files_come_back_whatever_was_interrupted(mounted: Path, swapped: int, reverted: int) -> None:
    subject = volumes.Volumes()
    for step, renames in ((subject.swap, swapped), (subject.revert, reverted)):
        with pytest.MonkeyPatch.context() as patch:
            interrupt(patch, renames)
            with contextlib.suppress(InterruptedMoveError):
                step(NOW_STAMP)
    assert subject.revert(NOW_STAMP)[0]
    assert content(mounted) == OLD
    assert not list(mounted.glob("*/.*restore*"))
    assert [path.name for path in mounted.glob("*/.before-*")] == [f".before-{EARLIER}"]


def test_revert_before_any_exchange_leaves_the_files(mounted: Path) -> None:
    assert volumes.Volumes().revert(NOW_STAMP) == (True, "the old files are in their place")
    assert content(mounted) == OLD


def emptied(root: Path) -> None:
    """Volumes without files, as on a new host; folders and what a restore keeps are none."""
    for path in [path for path in root.rglob("*") if path.is_file() and ".broadcast-restore" not in path.parts]:
        path.unlink()


def taken_with(files: int) -> list[common.Backup]:
    return [entry("full", "2026-03-08 02:00")._replace(details={"volumes": ["documents", "media"], "files": files})]


def test_volumes_that_lost_all_files_are_told_from_those_that_had_none(mounted: Path) -> None:
    subject = volumes.Volumes()
    assert subject.lost(taken_with(3)) == ""
    emptied(mounted)
    assert subject.lost([]) == subject.lost(taken_with(0)) == ""
    found = subject.lost(taken_with(3))
    assert "the last backup of 2026-03-08 02:00:00 UTC holds 3 files; restore them, or accept it" in found
    (mounted / "media" / "folder" / "file").write_text("uploaded")
    assert subject.lost(taken_with(3)) == ""


@pytest.mark.parametrize(("files", "written", "health"), [(3, [], "the volumes are empty"), (0, ["full"], "")])
def test_schedule_takes_no_backup_of_lost_files(
    files: int, written: list[str], health: str, mounted: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    subject, folder, kinds = volumes.Volumes(), tmp_path_factory.mktemp("config"), []
    emptied(mounted)
    backups = taken_with(files)

    def back_up(kind: str, *_: object) -> common.Backup:
        kinds.append(kind)
        now = time.time()
        backups.append(backups[-1]._replace(type=kind, start=now, stop=now))
        return backups[-1]

    def stop(_seconds: float) -> None:
        raise commands.Stopped

    schedules = {"full": "* * * * *", "diff": ""}
    (folder / "backups.json").write_text(json.dumps({"schedules": schedules, "maximum_age_hours": 26}))
    (folder / "cron.py").write_text((ROOT / "plugins/plugin_utils/services/cron.py").read_text())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "path", [*sys.path])
        patch.setattr(commands, "CONFIG", folder / "backups.json")
        patch.setattr(commands, "STATE", folder / "state")
        patch.setattr(commands.signal, "signal", lambda *_: None)
        patch.setattr(commands.time, "sleep", stop)
        patch.setattr(volumes.Volumes, "lock", folder / "lock")
        patch.setattr(subject, "prepare", lambda _alive: None)
        patch.setattr(subject, "backups", lambda: backups)
        patch.setattr(subject, "back_up", back_up)
        commands.serve(subject, argparse.Namespace())
        problem = commands.read_state("health")["problem"]
    assert kinds == written
    assert problem.startswith(health)
    assert bool(problem) == bool(health)


def test_volume_or_restored_files_that_came_later_are_backed_up_at_once(mounted: Path) -> None:
    subject = volumes.Volumes()
    assert subject.incomplete(FRESH)
    taken = [common.Backup("x", "full", time.time() - 1, time.time(), 0, {"volumes": ["documents", "media"]}, {})]
    assert not subject.incomplete(taken)
    subject.swap(NOW_STAMP)
    assert subject.incomplete(taken)


def test_what_the_application_calls_like_a_restore_is_content(mounted: Path) -> None:
    for name in (".restore", ".before-lunch", ".restored-x"):
        (mounted / "media" / name).mkdir()
        (mounted / "media" / name / "file").write_text("the application's")
    subject = volumes.Volumes()
    subject.swap(NOW_STAMP)
    assert (mounted / "media" / f".before-{NOW_STAMP}" / ".restore" / "file").read_text() == "the application's"
    assert subject.revert(NOW_STAMP)[0]
    subject.discard()
    for name in (".restore", ".before-lunch", ".restored-x"):
        assert (mounted / "media" / name / "file").read_text() == "the application's"


def test_room_is_that_on_the_disk(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"x" * 2**20)
    (tmp_path / "same").hardlink_to(tmp_path / "file")
    with open(tmp_path / "holes", "wb") as stream:
        stream.truncate(2**40)
    (tmp_path / f".before-{EARLIER}").mkdir()
    (tmp_path / f".before-{EARLIER}" / "kept").write_bytes(b"x" * 2**20)
    assert 2**20 <= volumes.room(tmp_path, None) < 2 * 2**20


def test_room_is_wanted_of_each_disk_once_for_all_its_volumes(mounted: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []
    monkeypatch.setattr(common, "check_space", lambda _directory, needed: asked.append(needed))
    backup = FRESH[0]._replace(size=2**40, room={"documents": 1000, "media": 24})
    volumes.Volumes().check_space(["documents", "media"], backup)
    assert set(asked) == {1024}
    asked.clear()
    volumes.Volumes().check_space(["media"], backup._replace(room={}))
    assert asked == [2**40]
