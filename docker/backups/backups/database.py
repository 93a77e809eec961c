"""Backups of one PostgreSQL cluster with pgBackRest, restored beside the live data directory."""

from __future__ import annotations

import contextlib
import json
import os
import pathlib
import re
import subprocess
import time

from . import common
from .common import Alive, Backup, BackupError, megabytes, remove, run, utc

DATA = pathlib.Path(os.environ.get("PGDATA", "/var/lib/postgresql/17/main"))
# What pgBackRest says on a new host with an old repository, whose cluster has another identity.
FOREIGN = "do not match the database"
# The archive may fail this long, as it does while the repository is created, before it counts.
ARCHIVE_GRACE_SECONDS = 600


def beside(suffix: str) -> pathlib.Path:
    return DATA.with_name(DATA.name + "." + suffix)


def kept() -> list[pathlib.Path]:
    return sorted(DATA.parent.glob(DATA.name + ".before-*"))


def tablespaces(directory: pathlib.Path) -> set[pathlib.Path]:
    """Where the tablespaces of a cluster are: they may lie beside it, and only its links know."""
    return {pathlib.Path(os.readlink(link)) for link in (directory / "pg_tblspc").glob("*") if link.is_symlink()}


def timeline(directory: pathlib.Path) -> int:
    result = subprocess.run(
        ["pg_controldata", str(directory)], capture_output=True, text=True, env=os.environ | {"LC_ALL": "C"}
    )
    match = re.search(r"^Latest checkpoint's TimeLineID:\s+(\d+)$", result.stdout, re.MULTILINE)
    return int(match[1]) if match else 0


class Database:
    """The cluster whose data, socket and repository are mounted."""

    lock = pathlib.Path("/tmp/backups/lock")

    def __init__(self) -> None:
        self.failing_since = 0.0

    def pgbackrest(self, *arguments: str, alive: Alive = None) -> None:
        run(["pgbackrest", "--log-level-console=info", *arguments], alive)

    def prepare(self, alive: Alive) -> None:
        try:
            self.pgbackrest("stanza-create", alive=alive)
        except BackupError as failure:
            if FOREIGN not in str(failure):
                raise
            text = "the repository is of another database; restore it, or give backups an empty one"
            raise BackupError(text) from failure

    def backups(self) -> list[Backup]:
        """Complete backups, oldest first."""
        command = ["pgbackrest", "info", "--output=json", "--log-level-console=error"]
        return [
            Backup(
                label=backup["label"],
                type=backup["type"],
                start=backup["timestamp"]["start"],
                stop=backup["timestamp"]["stop"],
                size=backup["info"]["size"],
                details={
                    "database_mb": megabytes(backup["info"]["size"]),
                    "repository_mb": megabytes(backup["info"]["repository"].get("delta", 0)),
                },
                room={},
            )
            for stanza in json.loads(common.answer(command, "the repository cannot be read"))
            for backup in stanza.get("backup", [])
            if not backup.get("error")
        ]

    def incomplete(self, backups: list[Backup]) -> bool:
        return False

    def lost(self, backups: list[Backup]) -> str:
        """Nothing: a database that is not the backups' own is refused by prepare."""
        return ""

    def back_up(self, kind: str, settings: dict, alive: Alive) -> Backup:
        self.pgbackrest("--type=%s" % kind, "backup", alive=alive)
        return self.backups()[-1]

    def archive_fails(self) -> bool:
        """Whether the last attempt to archive a segment of the write-ahead log failed."""
        query = (
            "SELECT coalesce(last_failed_time > coalesce(last_archived_time, '-infinity'), false) FROM pg_stat_archiver"
        )
        connection = ["--host=/run/postgresql", "--username=postgres", "--dbname=postgres"]
        psql = ["psql", "--no-psqlrc", "--tuples-only", "--no-align", *connection, "--command", query]
        return common.answer(psql, "PostgreSQL does not answer", timeout=60).strip() == "t"

    def concern(self, now: float) -> str:
        """What beside the backups themselves is wrong; empty when nothing is."""
        self.failing_since = (self.failing_since or now) if self.archive_fails() else 0.0
        if self.failing_since and now - self.failing_since > ARCHIVE_GRACE_SECONDS:
            return "the write-ahead log has not been archived since %s" % utc(self.failing_since)
        return ""

    def check(self, target_time: str, label: str) -> float:
        """Refuse what cannot succeed before anything is stopped for it; the time of the state, 0 for the last."""
        backups = self.backups()
        if not backups:
            raise BackupError("the repository holds no backup")
        if label:
            return common.named(label, backups).stop
        if not target_time:
            return 0.0
        epoch = common.target_epoch(target_time)
        if epoch < backups[0].stop:
            raise BackupError("the oldest backup ends at %s, the target is %s" % (utc(backups[0].stop), utc(epoch)))
        return epoch

    def restore(self, target_time: str, label: str) -> str:
        epoch = self.check(target_time, label)
        common.check_space(DATA.parent.parent, self.backups()[-1].size)
        target = beside("restore")
        remove(target)
        target.mkdir(mode=0o700, parents=True)
        arguments = [
            "--pg1-path=%s" % target,
            # Written for the place where the data will be, not where it is put first.
            '--recovery-option=restore_command=pgbackrest archive-get %f "%p"',
        ]
        # Those of the live data have to stay where they are; the links name the place for good.
        arguments.append("--tablespace-map-all=%s" % DATA.with_name("tablespaces-%d" % time.time()))
        if label:
            arguments += ["--set=%s" % label, "--type=immediate", "--target-action=promote"]
        elif target_time:
            arguments += ["--type=time", "--target=%s" % common.iso(epoch), "--target-action=promote"]
        try:
            self.pgbackrest(*arguments, "restore")
        except BaseException:
            remove(target)
            raise
        return "restored beside the live data"

    def swap(self, stamp: str) -> str:
        source, before = beside("restore"), beside("before-" + stamp)
        if not (source / "PG_VERSION").exists():
            raise BackupError("%s holds no restored data" % source)
        if DATA.exists():
            DATA.rename(before)
        source.rename(DATA)
        return "the old data is kept in %s" % before if before.exists() else "there was no old data"

    def revert(self, stamp: str) -> tuple[bool, str]:
        """Whether the old data is in its place again, and what is there in words."""
        before = beside("before-" + stamp)
        remove(beside("restore"))
        if not before.exists():
            return True, "the old data is in its place, it was not moved"
        if timeline(DATA) > timeline(before):
            # Its new timeline is in the archive already; going back would make the next restore follow the wrong one.
            return False, "the restored data has been opened for writing and stays; the old is kept in %s" % before
        remove(DATA)
        before.rename(DATA)
        return True, "the old data is back in its place"

    def discard(self) -> list[str]:
        names, old = [path.name for path in kept()], [*kept(), beside("restore")]
        spaces = {path for directory in old for path in tablespaces(directory)} | {*DATA.parent.glob("tablespaces-*/*")}
        for path in [*old, *sorted(spaces - tablespaces(DATA))]:
            remove(path)
        for path in DATA.parent.glob("tablespaces-*"):
            with contextlib.suppress(OSError):
                path.rmdir()
        return names
