#!/usr/bin/python3
"""Backups of one PostgreSQL cluster with pgBackRest: schedule, backups on demand, restores beside the live data.

backups serve    creates the stanza, takes the first backup, then those of the schedule; the container's main process
backups now      takes a backup now and prints what was written
backups health   exits with 1 and the reason when backups are too old or fail
backups list     prints the backups of the repository
backups check    refuses a restore that cannot succeed
backups restore  restores into a directory beside the live data
backups swap     puts the restored data in the live data's place and keeps the old
backups revert   puts the old data back
backups discard  removes data that was kept by swap

Settings are read from the JSON file BACKUPS_CONFIG, those of pgBackRest from its own environment and files.
"""

from __future__ import annotations

import argparse
import contextlib
import datetime
import fcntl
import functools
import json
import os
import pathlib
import re
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator

STATE = pathlib.Path("/tmp/backups")
DATA = pathlib.Path(os.environ.get("PGDATA", "/var/lib/postgresql/17/main"))
CONFIG = pathlib.Path(os.environ.get("BACKUPS_CONFIG", "/run/config/backups.json"))
TICK_SECONDS = 20
RETRY_SECONDS = 300
# Without a sign of life for this long the main process hangs.
SILENCE_SECONDS = 180
# The archive may fail this long, as it does while the repository is created, before it counts.
ARCHIVE_GRACE_SECONDS = 600
FIELDS = (("minute", 0, 59), ("hour", 0, 23), ("day of month", 1, 31), ("month", 1, 12), ("day of week", 0, 7))


class BackupError(Exception):
    """Something that the operator has to know, in one sentence."""


# The schedule --------------------------------------------------------------------------------------------------------


def field(text: str, name: str, low: int, high: int) -> set[int]:
    """Values of one cron field: *, lists, ranges and steps."""
    values: set[int] = set()
    for part in text.split(","):
        match = re.fullmatch(r"(\*|(\d+)(?:-(\d+))?)(?:/(\d+))?", part)
        if match is None:
            raise BackupError("schedule: %r is no %s" % (part, name))
        span, first, last, step = match.groups()
        start = low if span == "*" else int(first)
        end = high if span == "*" or (step and last is None) else int(last or first)
        if not low <= start <= end <= high or step == "0":
            raise BackupError("schedule: %r is no %s" % (part, name))
        values.update(range(start, end + 1, int(step or 1)))
    return values


class Schedule:
    """A cron expression of five fields, in UTC."""

    def __init__(self, expression: str) -> None:
        parts = expression.split()
        if len(parts) != len(FIELDS):
            raise BackupError("schedule: %r does not have the five fields of cron" % expression)
        self.minutes, self.hours, self.days, self.months, weekdays = (
            field(part, *limits) for part, limits in zip(parts, FIELDS, strict=True)
        )
        self.weekdays = {day % 7 for day in weekdays}
        # As in cron: when both are restricted, one of them is enough.
        self.either_day = not parts[2].startswith("*") and not parts[4].startswith("*")

    def on(self, day: datetime.date) -> bool:
        if day.month not in self.months:
            return False
        by_month, by_week = day.day in self.days, day.isoweekday() % 7 in self.weekdays
        return by_month or by_week if self.either_day else by_month and by_week

    def previous(self, now: float) -> float:
        """The last scheduled time that is not after now; 0 when there was none in four years."""
        moment = datetime.datetime.fromtimestamp(now, datetime.UTC)
        times = sorted((hour, minute) for hour in self.hours for minute in self.minutes)
        for back in range(4 * 366):
            day = moment.date() - datetime.timedelta(days=back)
            if not self.on(day):
                continue
            passed = [slot for slot in times if back or slot <= (moment.hour, moment.minute)]
            if passed:
                slot = datetime.datetime(day.year, day.month, day.day, *passed[-1], tzinfo=datetime.UTC)
                return slot.timestamp()
        return 0.0


def due(backups: list[dict], schedules: dict[str, Schedule], now: float) -> str | None:
    """Type of the backup that should run now: one is due when none was started since its last scheduled time.

    What was missed, because the container or the host was down, is therefore caught up once.
    """
    if not any(backup["type"] == "full" for backup in backups):
        return "full"
    accepted = {"full": ("full",), "diff": ("full", "diff")}
    for kind in ("full", "diff"):
        if kind not in schedules:
            continue
        last = max((b["start"] for b in backups if b["type"] in accepted[kind]), default=0)
        if last < schedules[kind].previous(now):
            return kind
    return None


# pgBackRest ----------------------------------------------------------------------------------------------------------


def log(message: str) -> None:
    print("%s %s" % (time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime()), message), file=sys.stderr, flush=True)


def run(command: list[str], alive: Callable[[], None] | None = None) -> None:
    """Run a command whose output goes to the log; fails with the errors it named."""
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    assert process.stdout is not None
    output, last = b"", 0.0
    try:
        while True:
            if alive and time.monotonic() - last > 5:
                alive()
                last = time.monotonic()
            # Signs of life go on while the command is silent.
            if not select.select([process.stdout], [], [], 5)[0]:
                continue
            chunk = os.read(process.stdout.fileno(), 65536)
            if not chunk:
                break
            sys.stderr.buffer.write(chunk)
            sys.stderr.flush()
            output = (output + chunk)[-65536:]
        process.wait()
    except BaseException:
        process.terminate()
        process.wait()
        raise
    if process.returncode != 0:
        errors = re.findall(r"(?:ERROR|HINT): (.*)", output.decode(errors="replace"))
        name = " ".join(argument for argument in command if not argument.startswith("-"))
        raise BackupError("%s failed with exit code %d: %s" % (name, process.returncode, "; ".join(errors)))


def pgbackrest(*arguments: str, alive: Callable[[], None] | None = None) -> None:
    run(["pgbackrest", "--log-level-console=info", *arguments], alive)


def repository() -> list[dict]:
    """Complete backups, oldest first: {label, type, start, stop, size, repository_size}."""
    result = subprocess.run(
        ["pgbackrest", "info", "--output=json", "--log-level-console=error"],
        capture_output=True,
        text=True,
        timeout=300,
    )
    if result.returncode != 0:
        raise BackupError("the repository cannot be read: %s" % (result.stdout + result.stderr).strip())
    return [
        {
            "label": backup["label"],
            "type": backup["type"],
            "start": backup["timestamp"]["start"],
            "stop": backup["timestamp"]["stop"],
            "size": backup["info"]["size"],
            "repository_size": backup["info"]["repository"].get("delta", 0),
        }
        for stanza in json.loads(result.stdout)
        for backup in stanza.get("backup", [])
        if not backup.get("error")
    ]


def archive_fails() -> bool:
    """Whether the last attempt to archive a segment of the write-ahead log failed."""
    query = "SELECT coalesce(last_failed_time > coalesce(last_archived_time, '-infinity'), false) FROM pg_stat_archiver"
    connection = ["--host=/run/postgresql", "--username=postgres", "--dbname=postgres"]
    result = subprocess.run(
        ["psql", "--no-psqlrc", "--tuples-only", "--no-align", *connection, "--command", query],
        capture_output=True,
        text=True,
        timeout=60,
    )
    if result.returncode != 0:
        raise BackupError("PostgreSQL does not answer: %s" % result.stderr.strip())
    return result.stdout.strip() == "t"


def utc(epoch: float) -> str:
    return datetime.datetime.fromtimestamp(epoch, datetime.UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def described(backup: dict) -> dict:
    """A backup in words and numbers for people and playbooks."""
    return {
        "label": backup["label"],
        "type": backup["type"],
        "finished": utc(backup["stop"]),
        "seconds": backup["stop"] - backup["start"],
        "database_mb": round(backup["size"] / 2**20, 1),
        "repository_mb": round(backup["repository_size"] / 2**20, 1),
    }


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


@contextlib.contextmanager
def exclusive() -> Iterator[None]:
    """One backup at a time; a second one waits."""
    STATE.mkdir(mode=0o700, parents=True, exist_ok=True)
    with open(STATE / "lock", "w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def backup(kind: str, alive: Callable[[], None] | None = None) -> dict:
    """Take a backup and remember how it went."""
    with exclusive():
        started = time.time()
        try:
            pgbackrest("--type=%s" % kind, "backup", alive=alive)
            written = repository()[-1]
        except BackupError as failure:
            write_state("last", {"problem": "backup (%s) at %s: %s" % (kind, utc(started), failure), "at": time.time()})
            raise
        write_state("last", {"problem": "", "at": time.time()})
        return written


def problem(backups: list[dict], last: dict, failing_since: float, maximum_age_seconds: float, now: float) -> str:
    """Why the backups cannot be relied upon; empty when they can."""
    if last.get("problem"):
        return last["problem"]
    if not backups:
        return "there is no backup"
    age = now - backups[-1]["stop"]
    if age > maximum_age_seconds:
        return "the last backup is %d hours old: %s" % (age // 3600, backups[-1]["label"])
    if failing_since and now - failing_since > ARCHIVE_GRACE_SECONDS:
        return "the write-ahead log has not been archived since %s" % utc(failing_since)
    return ""


# Commands ------------------------------------------------------------------------------------------------------------


class Stopped(BaseException):
    """The container is asked to stop."""


def stop(_signal: int, _frame: object) -> None:
    raise Stopped


def serve(_options: argparse.Namespace) -> None:
    settings = json.loads(CONFIG.read_text())
    schedules = {kind: Schedule(text) for kind, text in settings["schedules"].items() if text}
    maximum_age = settings["maximum_age_hours"] * 3600
    current, failing_since = "starting", 0.0

    def alive() -> None:
        write_state("health", {"problem": current, "at": time.time()})

    signal.signal(signal.SIGTERM, stop)
    ready = False
    try:
        while True:
            now = time.time()
            try:
                if not ready:
                    pgbackrest("stanza-create", alive=alive)
                    ready = True
                last, backups = read_state("last"), repository()
                kind = due(backups, schedules, now)
                if kind and not (last.get("problem") and now - last["at"] < RETRY_SECONDS):
                    # Health is unchanged while it runs, and good while the first one runs.
                    current = "" if current == "starting" else current
                    written = backup(kind, alive)
                    log(
                        "backup %(label)s (%(type)s): %(database_mb)s MB, %(repository_mb)s MB stored"
                        % described(written)
                    )
                    continue
                failing_since = (failing_since or now) if archive_fails() else 0.0
                found = problem(backups, last, failing_since, maximum_age, now)
            except (BackupError, OSError, subprocess.SubprocessError, ValueError) as failure:
                found = str(failure)
            if found != current:
                log(found or "healthy")
            current = found
            alive()
            time.sleep(TICK_SECONDS if ready else 3)
    except Stopped:
        log("stopped")


def now(options: argparse.Namespace) -> None:
    print(json.dumps(described(backup(options.type))))


def health(_options: argparse.Namespace) -> None:
    state = read_state("health")
    if not state or time.time() - state["at"] > SILENCE_SECONDS:
        raise BackupError("the schedule does not run")
    if state["problem"]:
        raise BackupError(state["problem"])


def catalogue(_options: argparse.Namespace) -> None:
    print(json.dumps([described(entry) for entry in repository()]))


def beside(suffix: str) -> pathlib.Path:
    return DATA.with_name(DATA.name + "." + suffix)


def remove(directory: pathlib.Path) -> None:
    subprocess.run(["rm", "-rf", "--", str(directory)], check=True)


def free_bytes(directory: pathlib.Path) -> int:
    status = os.statvfs(directory)
    return status.f_bavail * status.f_frsize


def kept() -> list[pathlib.Path]:
    return sorted(DATA.parent.glob(DATA.name + ".before-*"))


def target_epoch(text: str) -> float:
    try:
        moment = datetime.datetime.fromisoformat(text)
    except ValueError as error:
        raise BackupError("the target %r is no time such as 2026-01-31 14:05:00+00:00" % text) from error
    if moment.tzinfo is None:
        raise BackupError("the target %r needs a time zone, such as +00:00 for UTC" % text)
    return moment.timestamp()


def check_target(text: str, backups: list[dict]) -> None:
    """Refuse what cannot succeed before anything is stopped for it."""
    if not backups:
        raise BackupError("the repository holds no backup")
    if not text:
        return
    epoch = target_epoch(text)
    if epoch > time.time():
        raise BackupError("the target %s lies in the future" % text)
    if epoch < backups[0]["stop"]:
        raise BackupError("the oldest backup ends at %s, the target is %s" % (utc(backups[0]["stop"]), utc(epoch)))


def check(options: argparse.Namespace) -> list[dict]:
    backups = repository()
    check_target(options.target_time, backups)
    labels = [backup["label"] for backup in backups]
    if options.backup and options.backup not in labels:
        raise BackupError("there is no backup %s; there are %s" % (options.backup, ", ".join(labels)))
    return backups


def restore(options: argparse.Namespace) -> None:
    backups = check(options)
    needed, free = backups[-1]["size"], free_bytes(DATA.parent.parent)
    if free < needed * 1.1:
        raise BackupError(
            "the old data is kept, so %d MB are needed and %d MB are free" % (needed * 1.1 / 2**20, free / 2**20)
        )
    target = beside("restore")
    remove(target)
    target.mkdir(mode=0o700, parents=True)
    arguments = [
        "--pg1-path=%s" % target,
        # Written for the place where the data will be, not where it is put first.
        '--recovery-option=restore_command=pgbackrest archive-get %f "%p"',
    ]
    if options.backup:
        arguments += ["--set=%s" % options.backup, "--type=immediate", "--target-action=promote"]
    elif options.target_time:
        moment = datetime.datetime.fromtimestamp(target_epoch(options.target_time), datetime.UTC)
        arguments += ["--type=time", "--target=%s" % moment.isoformat(" "), "--target-action=promote"]
    try:
        pgbackrest(*arguments, "restore")
    except BaseException:
        remove(target)
        raise


def swap(options: argparse.Namespace) -> None:
    source, before = beside("restore"), beside("before-" + options.stamp)
    if not (source / "PG_VERSION").exists():
        raise BackupError("%s holds no restored data" % source)
    if DATA.exists():
        DATA.rename(before)
    source.rename(DATA)
    print("the old data is kept in %s" % before if before.exists() else "there was no old data")


def timeline(directory: pathlib.Path) -> int:
    result = subprocess.run(
        ["pg_controldata", str(directory)], capture_output=True, text=True, env=os.environ | {"LC_ALL": "C"}
    )
    match = re.search(r"^Latest checkpoint's TimeLineID:\s+(\d+)$", result.stdout, re.MULTILINE)
    return int(match[1]) if match else 0


def revert(options: argparse.Namespace) -> None:
    before = beside("before-" + options.stamp)
    remove(beside("restore"))
    if not before.exists():
        print("the old data is in its place, it was not moved")
        return
    if timeline(DATA) > timeline(before):
        # Its new timeline is in the archive already; going back would make the next restore follow the wrong one.
        print("the restored data has been opened for writing and stays; the old is kept in %s" % before)
        return
    remove(DATA)
    before.rename(DATA)
    print("the old data is back in its place")


def discard(_options: argparse.Namespace) -> None:
    names = [path.name for path in kept()]
    for path in kept():
        remove(path)
    print(json.dumps({"removed": names}))


def main() -> int:
    # With a width of its own argparse does not ask for the terminal's, which python3-minimal cannot tell.
    shape = functools.partial(argparse.HelpFormatter, width=80)
    parser = argparse.ArgumentParser(prog="backups", description="Backups of one cluster", formatter_class=shape)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def command(name: str, function: Callable[[argparse.Namespace], object]) -> argparse.ArgumentParser:
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
        options.function(options)
    except (BackupError, OSError, subprocess.SubprocessError) as failure:
        print(str(failure), file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
