"""The backup program: schedule, health and refusal of restores that cannot succeed."""

from __future__ import annotations

import datetime
import time
import types
from pathlib import Path

import pytest

PROGRAM = Path(__file__).resolve().parents[2] / "docker" / "backups" / "backups.py"
# Not imported: a cache of compiled code beside the program would be part of the image's build context.
backups = types.ModuleType("backups_program")
exec(compile(PROGRAM.read_text(), str(PROGRAM), "exec"), backups.__dict__)


def epoch(text: str) -> float:
    return datetime.datetime.fromisoformat(text).replace(tzinfo=datetime.UTC).timestamp()


@pytest.mark.parametrize(
    ("expression", "now", "expected"),
    [
        ("0 2 * * *", "2026-03-10 02:00", "2026-03-10 02:00"),
        ("0 2 * * *", "2026-03-10 01:59", "2026-03-09 02:00"),
        ("0 2 * * 0", "2026-03-10 12:00", "2026-03-08 02:00"),
        ("0 2 * * 7", "2026-03-10 12:00", "2026-03-08 02:00"),
        ("30 */6 * * 1-6", "2026-03-09 00:29", "2026-03-07 18:30"),
        ("*/15 * * * *", "2026-03-10 12:44", "2026-03-10 12:30"),
        ("5/20 * * * *", "2026-03-10 12:44", "2026-03-10 12:25"),
        ("0 0 29 2 *", "2026-03-10 12:00", "2024-02-29 00:00"),
        ("0 0 1,15 * *", "2026-01-01 00:00", "2026-01-01 00:00"),
        # Both days restricted: either is enough.
        ("0 0 1 * 1", "2026-03-10 12:00", "2026-03-09 00:00"),
        ("0 0 1 * 1", "2026-04-02 12:00", "2026-04-01 00:00"),
    ],
)
def test_last_scheduled_time_follows_cron(expression: str, now: str, expected: str) -> None:
    assert backups.Schedule(expression).previous(epoch(now)) == epoch(expected)


@pytest.mark.parametrize(
    "expression", ["", "0 2 * *", "60 2 * * *", "0 24 * * *", "0 2 * * mon", "0 2 5-1 * *", "*/0 * * * *"]
)
def test_schedule_that_is_not_cron_is_refused(expression: str) -> None:
    with pytest.raises(backups.BackupError, match="schedule"):
        backups.Schedule(expression)


def entry(kind: str, start: str) -> dict:
    return {"label": "x", "type": kind, "start": epoch(start), "stop": epoch(start) + 60, "size": 2**20}


SCHEDULES = {"full": backups.Schedule("0 2 * * 0"), "diff": backups.Schedule("0 2 * * 1-6")}


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
    assert backups.due([entry(*backup) for backup in taken], SCHEDULES, epoch(now)) == expected


NOW = epoch("2026-03-10 12:00")
FRESH = [entry("full", "2026-03-10 02:00")]


@pytest.mark.parametrize(
    ("taken", "last", "failing_since", "expected"),
    [
        (FRESH, {}, 0.0, ""),
        (FRESH, {"problem": "", "at": 0}, NOW - 60, ""),
        (FRESH, {"problem": "backup failed", "at": 0}, 0.0, "backup failed"),
        ([], {}, 0.0, "no backup"),
        ([entry("full", "2026-03-09 02:00")], {}, 0.0, "33 hours old"),
        (FRESH, {}, NOW - 3600, "write-ahead log has not been archived since 2026-03-10 11:00:00 UTC"),
    ],
)
def test_health_names_why_backups_cannot_be_relied_upon(
    taken: list, last: dict, failing_since: float, expected: str
) -> None:
    found = backups.problem(taken, last, failing_since, 26 * 3600, NOW)
    assert expected in found
    assert bool(found) == bool(expected)


@pytest.mark.parametrize(
    ("target", "reason"),
    [
        ("yesterday", "no time"),
        ("2026-03-10 12:00:00", "time zone"),
        ("2026-03-10 01:00:00+00:00", "oldest backup"),
        ("2999-01-01 00:00:00+00:00", "future"),
    ],
)
def test_restore_target_that_cannot_be_reached_is_refused(target: str, reason: str) -> None:
    with pytest.raises(backups.BackupError, match=reason):
        backups.check_target(target, FRESH)


def test_restore_without_any_backup_is_refused() -> None:
    with pytest.raises(backups.BackupError, match="no backup"):
        backups.check_target("", [])


def test_command_that_fails_is_named_with_its_errors() -> None:
    script = "echo 'P00  ERROR: [082]: WAL was not archived'; echo '   HINT: look'; exit 82"
    with pytest.raises(backups.BackupError, match=r"exit code 82: \[082\]: WAL was not archived; look"):
        backups.run(["sh", "-c", script])


def test_silent_command_still_gives_signs_of_life() -> None:
    signs: list[float] = []
    backups.run(["sleep", "0.1"], alive=lambda: signs.append(time.time()))
    assert signs


def test_swap_keeps_the_old_data_and_revert_brings_it_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = tmp_path / "main"
    monkeypatch.setattr(backups, "DATA", data)
    monkeypatch.setattr(backups, "timeline", lambda directory: 1)
    for directory, text in ((data, "old"), (tmp_path / "main.restore", "restored")):
        directory.mkdir()
        (directory / "PG_VERSION").write_text(text)
    options = backups.argparse.Namespace(stamp="20260310T120000Z")
    backups.swap(options)
    assert (data / "PG_VERSION").read_text() == "restored"
    assert [path.name for path in backups.kept()] == ["main.before-20260310T120000Z"]
    backups.revert(options)
    assert (data / "PG_VERSION").read_text() == "old"
    assert backups.kept() == []


def test_revert_leaves_restored_data_that_was_opened_for_writing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    data = tmp_path / "main"
    monkeypatch.setattr(backups, "DATA", data)
    monkeypatch.setattr(backups, "timeline", lambda directory: 2 if directory == data else 1)
    data.mkdir()
    (tmp_path / "main.before-x").mkdir()
    backups.revert(backups.argparse.Namespace(stamp="x"))
    assert data.exists()
    assert "stays" in capsys.readouterr().out
