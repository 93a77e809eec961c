"""What backups of databases and of volumes share: commands, times and directories."""

from __future__ import annotations

import datetime
import os
import pathlib
import re
import select
import subprocess
import sys
import time
import typing
from collections.abc import Callable

Alive = Callable[[], None] | None


class BackupError(Exception):
    """Something that the operator has to know, in one sentence."""


class Backup(typing.NamedTuple):
    """A complete backup; times are seconds since 1970, details are for people, room is that on disk by volume."""

    label: str
    type: str
    start: float
    stop: float
    size: int
    details: dict
    room: dict[str, int]

    def described(self) -> dict:
        """The backup in words and numbers for people and playbooks."""
        return {
            "label": self.label,
            "type": self.type,
            "finished": utc(self.stop),
            "seconds": round(self.stop - self.start),
            **self.details,
        }


def log(message: str) -> None:
    print("%s %s" % (time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime()), message), file=sys.stderr, flush=True)


def run(command: list[str], alive: Alive = None) -> None:
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
        errors = re.findall(r"(?:ERROR|HINT|Fatal|error): (.*)", output.decode(errors="replace"))
        name = " ".join(argument for argument in command if not argument.startswith("-"))
        raise BackupError("%s failed with exit code %d: %s" % (name, process.returncode, "; ".join(errors)))


def answer(command: list[str], otherwise: str, timeout: int = 300) -> str:
    """What a command prints; otherwise says what it means that it failed."""
    result = subprocess.run(command, capture_output=True, text=True, timeout=timeout)
    if result.returncode != 0:
        raise BackupError("%s: %s" % (otherwise, (result.stdout + result.stderr).strip()))
    return result.stdout


def utc(epoch: float) -> str:
    return datetime.datetime.fromtimestamp(epoch, datetime.UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def iso(epoch: float) -> str:
    return datetime.datetime.fromtimestamp(epoch, datetime.UTC).isoformat(" ")


def megabytes(size: int) -> float:
    return round(size / 2**20, 1)


def target_epoch(text: str) -> float:
    try:
        moment = datetime.datetime.fromisoformat(text)
    except ValueError as error:
        raise BackupError("the target %r is no time such as 2026-01-31 14:05:00+00:00" % text) from error
    if moment.tzinfo is None:
        raise BackupError("the target %r needs a time zone, such as +00:00 for UTC" % text)
    if moment.timestamp() > time.time():
        raise BackupError("the target %s lies in the future" % text)
    return moment.timestamp()


def named(label: str, backups: list[Backup]) -> Backup:
    for backup in backups:
        if backup.label == label:
            return backup
    raise BackupError("there is no backup %s; there are %s" % (label, ", ".join(backup.label for backup in backups)))


def remove(directory: pathlib.Path) -> None:
    subprocess.run(["rm", "-rf", "--", str(directory)], check=True)


def check_space(directory: pathlib.Path, needed: int) -> None:
    status = os.statvfs(directory)
    free = status.f_bavail * status.f_frsize
    if free < needed * 1.1:
        raise BackupError(
            "the old data is kept, so %d MB are needed and %d MB are free" % (needed * 1.1 / 2**20, free / 2**20)
        )
