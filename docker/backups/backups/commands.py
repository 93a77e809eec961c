"""The commands: schedule, health and state, the same for databases and volumes."""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import functools
import json
import os
import pathlib
import signal
import subprocess
import sys
import time
import typing
from collections.abc import Callable, Iterator

from .common import Alive, Backup, BackupError, iso, log, utc
from .database import Database
from .volumes import Volumes

if typing.TYPE_CHECKING:
    from cron import Schedule

STATE = pathlib.Path("/tmp/backups")
CONFIG = pathlib.Path(os.environ.get("BACKUPS_CONFIG", "/run/config/backups.json"))
TICK_SECONDS = 20
RETRY_SECONDS = 300
# Without a sign of life for this long the main process hangs.
SILENCE_SECONDS = 180
KINDS = {"database": Database, "volumes": Volumes}
Subject = Database | Volumes


def due(backups: list[Backup], schedules: dict[str, Schedule], now: float) -> str | None:
    """Type of the backup that should run now: one is due when none was started since its last scheduled time.

    What was missed, because the container or the host was down, is therefore caught up once.
    """
    if not any(backup.type == "full" for backup in backups):
        return "full"
    accepted = {"full": ("full",), "diff": ("full", "diff")}
    for kind in ("full", "diff"):
        if kind not in schedules:
            continue
        last = max((backup.start for backup in backups if backup.type in accepted[kind]), default=0)
        if last < schedules[kind].previous(now):
            return kind
    return None


def problem(backups: list[Backup], last: dict, maximum_age_seconds: float, now: float) -> str:
    """Why the backups cannot be relied upon; empty when they can."""
    if last.get("problem"):
        return last["problem"]
    if not backups:
        return "there is no backup"
    age = now - backups[-1].stop
    if age > maximum_age_seconds:
        return "the last backup is %d hours old: %s" % (age // 3600, backups[-1].label)
    return ""


# State, shared between the main process and commands run beside it ----------------------------------------------------


def write_state(name: str, value: object) -> None:
    STATE.mkdir(mode=0o700, parents=True, exist_ok=True)
    temporary = STATE / (name + ".new")
    temporary.write_text(json.dumps(value))
    temporary.replace(STATE / name)


def read_state(name: str) -> dict:
    try:
        return json.loads((STATE / name).read_text())
    except FileNotFoundError:
        return {}


def settings() -> dict:
    return json.loads(CONFIG.read_text())


@contextlib.contextmanager
def exclusive(path: pathlib.Path, alive: Alive = None) -> Iterator[None]:
    """One backup or restore at a time; a second one waits."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    # A restore is root's: in a folder that everybody writes the kernel lets not even root open, to create it, what is
    # another user's already.
    if not path.exists():
        path.touch(mode=0o644)
    with open(path) as handle:
        while True:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if alive:
                    alive()
                time.sleep(1)
        yield


def back_up(subject: Subject, kind: str, alive: Alive = None) -> Backup:
    """Take a backup and remember how it went."""
    with exclusive(subject.lock, alive):
        started = time.time()
        try:
            written = subject.back_up(kind, settings(), alive)
        except (BackupError, OSError) as failure:
            write_state("last", {"problem": "backup (%s) at %s: %s" % (kind, utc(started), failure), "at": time.time()})
            raise
        write_state("last", {"problem": "", "at": time.time()})
        return written


# Commands ------------------------------------------------------------------------------------------------------------


class Stopped(BaseException):
    """The container is asked to stop."""


def stop(_signal: int, _frame: object) -> None:
    raise Stopped


def serve(subject: Subject, _options: argparse.Namespace) -> None:
    # The collection's own, which preflight checks schedules with as well; it lies beside the settings.
    sys.path.insert(0, str(CONFIG.parent))
    from cron import Schedule

    schedules = {kind: Schedule(text) for kind, text in settings()["schedules"].items() if text}
    maximum_age = settings()["maximum_age_hours"] * 3600
    current = "starting"

    def alive() -> None:
        write_state("health", {"problem": current, "at": time.time()})

    signal.signal(signal.SIGTERM, stop)
    ready = False
    try:
        while True:
            now = time.time()
            try:
                if not ready:
                    subject.prepare(alive)
                    ready = True
                last, backups = read_state("last"), subject.backups()
                lost = subject.lost(backups)
                kind = due(backups, schedules, now) or ("diff" if subject.incomplete(backups) else None)
                # A backup of what is lost would be the newest one, which a restore takes.
                if kind and not lost and not (last.get("problem") and now - last["at"] < RETRY_SECONDS):
                    # Health is unchanged while it runs, and good while the first one runs.
                    current = "" if current == "starting" else current
                    log("written: %s" % json.dumps(back_up(subject, kind, alive).described()))
                    continue
                found = lost or problem(backups, last, maximum_age, now) or subject.concern(now)
            except (BackupError, OSError, subprocess.SubprocessError, ValueError) as failure:
                found = str(failure)
            if found != current:
                log(found or "healthy")
            current = found
            alive()
            # At the same moments everywhere: database and volumes are backed up in the same second.
            time.sleep(TICK_SECONDS - time.time() % TICK_SECONDS if ready else 3)
    except Stopped:
        log("stopped")


def now(subject: Subject, options: argparse.Namespace) -> None:
    print(json.dumps(back_up(subject, options.type).described()))


def health(_subject: Subject, _options: argparse.Namespace) -> None:
    state = read_state("health")
    if not state or time.time() - state["at"] > SILENCE_SECONDS:
        raise BackupError("the schedule does not run")
    if state["problem"]:
        raise BackupError(state["problem"])


def catalogue(subject: Subject, _options: argparse.Namespace) -> None:
    print(json.dumps([backup.described() for backup in subject.backups()]))


def check(subject: Subject, options: argparse.Namespace) -> None:
    epoch = subject.check(options.target_time, options.backup)
    print(json.dumps({"time": iso(epoch) if epoch else ""}))


def restore(subject: Subject, options: argparse.Namespace) -> None:
    with exclusive(subject.lock):
        print(subject.restore(options.target_time, options.backup))


def swap(subject: Subject, options: argparse.Namespace) -> None:
    print(subject.swap(options.stamp))


def revert(subject: Subject, options: argparse.Namespace) -> None:
    old, state = subject.revert(options.stamp)
    print(json.dumps({"old": old, "state": state}))


def discard(subject: Subject, _options: argparse.Namespace) -> None:
    print(json.dumps({"removed": subject.discard()}))


def main() -> int:
    # With a width of its own argparse does not ask for the terminal's, which python3-minimal cannot tell.
    shape = functools.partial(argparse.HelpFormatter, width=80)
    parser = argparse.ArgumentParser(prog="backups", description="Backups and restores", formatter_class=shape)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def command(name: str, function: Callable[[Subject, argparse.Namespace], object]) -> argparse.ArgumentParser:
        added = commands.add_parser(name, formatter_class=shape)
        added.set_defaults(function=function)
        return added

    command("serve", serve)
    command("now", now).add_argument("--type", choices=("full", "diff", "incr"), default="diff")
    command("health", health)
    command("list", catalogue)
    for name, function in (("check", check), ("restore", restore)):
        added = command(name, function)
        added.add_argument("--target-time", default="")
        added.add_argument("--backup", default="")
    for name, function in (("swap", swap), ("revert", revert)):
        command(name, function).add_argument("--stamp", required=True)
    command("discard", discard)
    options = parser.parse_args()
    try:
        options.function(KINDS[os.environ.get("BACKUPS_OF", "database")](), options)
    except (BackupError, OSError, subprocess.SubprocessError, ValueError) as failure:
        print(str(failure), file=sys.stderr)
        return 1
    return 0
