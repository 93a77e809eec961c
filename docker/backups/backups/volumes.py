"""Backups of the volumes below /volumes with restic, one snapshot of all; restored into a folder of each volume.

The root of a volume cannot be renamed, so its content changes places with that of folders in it:

.broadcast-restore  what was restored, until it is put in place
.restored-TIME      the same while it is put in place, so that an interrupted exchange can be told from one before
.before-TIME        the old content

Nobody but the user of the files enters them: the volume may be one that a web server publishes. What an application
calls alike, .before-lunch for instance, is content.

Backups are taken as the user of the files and fail on what that one cannot read. Files are put back as root, so that
whatever was read comes back with its owner and mode: files of others, or the mount point of a volume inside a volume.
"""

from __future__ import annotations

import datetime
import fnmatch
import json
import os
import pathlib
import time

from . import common
from .common import Alive, Backup, BackupError, megabytes, remove, run, utc

VOLUMES = pathlib.Path("/volumes")
REPOSITORY = pathlib.Path(os.environ.get("RESTIC_REPOSITORY", "/var/lib/restic"))
# Its time is that of the last exchange: the backups before it are of files that have been replaced.
EXCHANGED = REPOSITORY / "exchanged"
RESTORED = ".broadcast-restore"
STAMP = "[0-9]" * 8 + "T" + "[0-9]" * 6 + "Z"
# What is no content: the folders above and that of a file system's own check.
APART = (RESTORED, ".restored-" + STAMP, ".before-" + STAMP, "lost+found")


def names() -> list[str]:
    return sorted(path.name for path in VOLUMES.iterdir())


def apart(name: str) -> bool:
    return any(fnmatch.fnmatchcase(name, pattern) for pattern in APART)


def entries(folder: pathlib.Path) -> list[pathlib.Path]:
    """The content of a folder."""
    return sorted(path for path in folder.iterdir() if not apart(path.name))


def room(root: pathlib.Path, alive: Alive) -> int:
    """Bytes that the content of a volume takes on its disk: holes take none, and a file with two names counts once."""
    total, linked, last = 0, set(), time.monotonic()
    for folder, folders, files in os.walk(root):
        if folder == str(root):
            folders[:] = [name for name in folders if not apart(name)]
        if alive and time.monotonic() - last > 5:
            alive()
            last = time.monotonic()
        for name in files:
            try:
                status = os.lstat(os.path.join(folder, name))
            # Gone since; what cannot be read is for restic to name.
            except OSError:
                continue
            if status.st_nlink == 1 or status.st_ino not in linked:
                linked.add(status.st_ino)
                total += status.st_blocks * 512
    return total


def hold_files() -> bool:
    content = [path for name in names() for path in entries(VOLUMES / name)]
    return any(not path.is_dir() or any(files for _path, _folders, files in os.walk(path)) for path in content)


def move(content: list[pathlib.Path], folder: pathlib.Path) -> None:
    for path in content:
        path.rename(folder / path.name)


def expired(backups: list[Backup], keep_full: int) -> list[Backup]:
    """What is older than the full backups that are kept, as pgBackRest counts.

    The one before them stays: it may be the last that is not newer than the oldest state of the database.
    """
    full = [index for index, backup in enumerate(backups) if backup.type == "full"]
    return backups[: max(full[-keep_full] - 1, 0)] if len(full) > keep_full else []


def parsed(text: str) -> list[Backup]:
    """Snapshots as restic lists them, oldest first."""
    found = []
    for snapshot in json.loads(text):
        summary = snapshot.get("summary", {})
        tags = snapshot.get("tags", [])
        start = datetime.datetime.fromisoformat(snapshot["time"]).timestamp()
        stop = summary.get("backup_end")
        found.append(
            Backup(
                label=snapshot["short_id"],
                type=next((tag for tag in tags if "=" not in tag), "full"),
                start=start,
                stop=datetime.datetime.fromisoformat(stop).timestamp() if stop else start,
                size=summary.get("total_bytes_processed", 0),
                room={
                    name: int(size) for name, _, size in (tag[5:].partition(":") for tag in tags if tag[:5] == "room=")
                },
                details={
                    "volumes": sorted(tag.partition("=")[2] for tag in tags if tag.startswith("volume=")),
                    "files": summary.get("total_files_processed", 0),
                    "volumes_mb": megabytes(summary.get("total_bytes_processed", 0)),
                    "repository_mb": megabytes(summary.get("data_added_packed", 0)),
                },
            )
        )
    return sorted(found, key=lambda backup: backup.start)


class Volumes:
    """The volumes and the repository that are mounted."""

    # In the repository, so that commands in other containers wait as well.
    lock = REPOSITORY / "lock"

    def __init__(self) -> None:
        self.listed: tuple[frozenset[str], list[Backup]] = (frozenset(), [])

    def restic(self, *arguments: str, alive: Alive = None) -> None:
        run(["restic", "--no-cache", *arguments], alive)

    def prepare(self, alive: Alive) -> None:
        if not (REPOSITORY / "config").exists():
            self.restic("init", alive=alive)

    def backups(self) -> list[Backup]:
        """Snapshots, oldest first.

        To open the repository costs a second of computing, so it is asked again only when there are others.
        """
        try:
            present = frozenset(os.listdir(REPOSITORY / "snapshots"))
        except FileNotFoundError:
            present = frozenset()
        if present != self.listed[0]:
            command = ["restic", "snapshots", "--json", "--no-cache", "--no-lock"]
            self.listed = (present, parsed(common.answer(command, "the repository cannot be read")))
        return self.listed[1]

    def incomplete(self, backups: list[Backup]) -> bool:
        """Whether a volume or restored files came later than the last backup."""
        exchanged = EXCHANGED.stat().st_mtime if EXCHANGED.exists() else 0
        return backups[-1].start < exchanged or not set(names()) <= set(backups[-1].details["volumes"])

    def lost(self, backups: list[Backup]) -> str:
        """Whether all files are gone since the last backup, as on a new host before the restore; empty when not."""
        if not backups or not backups[-1].details["files"] or hold_files():
            return ""
        return (
            "the volumes are empty, the last backup of %s holds %d files; restore them, or accept it with `backups now`"
            % (utc(backups[-1].start), backups[-1].details["files"])
        )

    def back_up(self, kind: str, settings: dict, alive: Alive) -> Backup:
        # Whoever holds the lock above is alone; what restic's own locks say is left from a process that was killed.
        if any((REPOSITORY / "locks").iterdir()):
            self.restic("unlock", "--remove-all", alive=alive)
        tags = ["--tag=%s" % kind, *("--tag=volume=%s" % name for name in names())]
        tags += ["--tag=room=%s:%d" % (name, room(VOLUMES / name, alive)) for name in names()]
        excluded = ["--exclude=%s/*/%s" % (VOLUMES, pattern) for pattern in APART]
        # The host is not that of the container, whose name changes; restic compares with the host's last snapshot.
        self.restic("backup", "--host=volumes", *tags, *excluded, str(VOLUMES), alive=alive)
        written = self.backups()[-1]
        old = expired(self.backups(), settings["retention_full"])
        if old:
            self.restic("forget", "--prune", *(backup.label for backup in old), alive=alive)
        if kind == "full":
            self.restic("check", "--no-lock", alive=alive)
        return written

    def concern(self, now: float) -> str:
        return ""

    def chosen(self, target_time: str, label: str) -> Backup:
        backups = self.backups()
        if label:
            return common.named(label, backups)
        epoch = common.target_epoch(target_time) if target_time else float("inf")
        # Counted from its start: what was added while it ran is in it or not, what was there before is.
        before = [backup for backup in backups if backup.start <= epoch]
        if not before:
            oldest = "the oldest began at %s" % utc(backups[0].start) if backups else "there is none"
            raise BackupError("no backup of the volumes began before the wished state; %s" % oldest)
        return before[-1]

    def check(self, target_time: str, label: str) -> float:
        """Refuse what cannot succeed before anything is stopped for it; the time of the restored state."""
        return self.chosen(target_time, label).start

    def restore(self, target_time: str, label: str) -> str:
        backup = self.chosen(target_time, label)
        chosen = [name for name in names() if name in backup.details["volumes"]]
        self.check_space(chosen, backup)
        self.drop_restored()
        for name in chosen:
            target = VOLUMES / name / RESTORED
            target.mkdir(mode=0o700)
            # One deeper, since restic may give the folder that it restores into the mode of the original.
            content = target / "content"
            content.mkdir()
            try:
                common.log("%s from the backup of %s" % (name, utc(backup.start)))
                source = "%s:%s" % (backup.label, VOLUMES / name)
                self.restic("restore", "--no-lock", "--sparse", source, "--target=%s" % content)
                content.chmod(0o700)
            except BaseException:
                self.drop_restored()
                raise
        return "restored beside the live files"

    def check_space(self, chosen: list[str], backup: Backup) -> None:
        """Each disk holds those of its volumes. The version before noted no room, only the size of all files."""
        needed: dict[int, int] = {}
        for name in chosen:
            disk = os.stat(VOLUMES / name).st_dev
            needed[disk] = needed.get(disk, 0) + backup.room.get(name, 0)
        for name in chosen:
            disk = os.stat(VOLUMES / name).st_dev
            common.check_space(VOLUMES / name, needed[disk] if backup.room else backup.size)

    def drop_restored(self) -> None:
        for name in names():
            remove(VOLUMES / name / RESTORED)

    def swap(self, stamp: str) -> str:
        done = []
        for name in names():
            root, before = VOLUMES / name, VOLUMES / name / (".before-" + stamp)
            source, moving = root / RESTORED, root / (".restored-" + stamp)
            if not source.exists():
                continue
            before.mkdir(mode=0o700)
            # The user of the files looks into it.
            os.chown(before, root.stat().st_uid, root.stat().st_gid)
            move(entries(root), before)
            source.rename(moving)
            move(entries(moving / "content"), root)
            remove(moving)
            done.append(name)
        # Not touch alone, see exclusive().
        if EXCHANGED.exists():
            os.utime(EXCHANGED)
        else:
            EXCHANGED.touch()
        return "the restored files of %s are in place, the old are kept in .before-%s" % (", ".join(done), stamp)

    def revert(self, stamp: str) -> tuple[bool, str]:
        """The steps of swap backwards; whatever interrupted them, or this, it can be repeated."""
        moved = False
        for name in names():
            root, before = VOLUMES / name, VOLUMES / name / (".before-" + stamp)
            source, moving = root / RESTORED, root / (".restored-" + stamp)
            if before.exists():
                moved = True
                if not source.exists():
                    moving.mkdir(mode=0o700, exist_ok=True)
                    (moving / "content").mkdir(exist_ok=True)
                    move(entries(root), moving / "content")
                    moving.rename(source)
                move(entries(before), root)
                before.rmdir()
            remove(source)
        return True, "the old files are back in their place" if moved else "the old files are in their place"

    def discard(self) -> list[str]:
        kept = [path for name in names() for path in sorted((VOLUMES / name).glob(".before-" + STAMP))]
        for path in [*kept, *VOLUMES.glob("*/.restored-" + STAMP)]:
            remove(path)
        self.drop_restored()
        return ["%s/%s" % (path.parent.name, path.name) for path in kept]
