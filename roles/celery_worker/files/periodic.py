"""Run one command on a timer, as periodic.json beside this file describes it; the container's main process.

{"name", "command", "working_dir", "schedule" (cron, UTC) or "every" (seconds), "timeout" (seconds), "needs" (list of
"host:port")}

The command never runs twice at a time: what falls due while it runs is left out. A time that was missed, because the
container was down, is not caught up. While one of the addresses that it needs takes no connection, the command waits: a
host that a release has left out is kept from the data in this way, and must not work on its own. When the container is
stopped, a running command may finish within the container's grace. A note says when the timer last turned; the health
check reads how old it is, like that of beat.
"""

from __future__ import annotations

import contextlib
import json
import os
import shlex
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

# The file lies beside this one.
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from cron import Schedule

TICK_SECONDS = 1
# What a command that took too long has left to end by itself.
KILL_SECONDS = 10
# What an address has to take a connection, so that the note stays fresh.
CONNECT_SECONDS = 3


class Stop:
    """Set when the container is asked to stop."""

    asked = False

    def ask(self, _signal: int, _frame: object) -> None:
        self.asked = True


def say(**facts: object) -> None:
    print(json.dumps({"time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()), **facts}), flush=True)


class Timer:
    """Tells when the command is due: an interval begins with a run, a schedule with its next time."""

    def __init__(self, settings: dict, now: float) -> None:
        self.every = float(settings.get("every") or 0)
        self.schedule = None if self.every else Schedule(settings["schedule"])
        self.last = now - self.every if self.every else now

    def due(self, now: float) -> bool:
        if self.schedule:
            return self.schedule.previous(now) > self.last
        return now >= self.last + self.every

    def started(self, now: float) -> None:
        self.last = now


class Run:
    """A run of the command."""

    def __init__(self, settings: dict) -> None:
        self.settings = settings
        self.began = time.monotonic()
        self.killed_at = 0.0
        # A session of its own, so that what the command started ends with it.
        self.process = subprocess.Popen(settings["command"], cwd=settings["working_dir"], start_new_session=True)

    def signal(self, number: int) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, number)

    def ended(self) -> bool:
        """Whether it has ended, after asking one that takes too long to end."""
        now = time.monotonic()
        code = self.process.poll()
        if code is not None:
            outcome = "timed out" if self.killed_at else "failed" if code else "done"
            say(periodic=self.settings["name"], outcome=outcome, exit_code=code, seconds=round(now - self.began, 1))
            return True
        if not self.killed_at and now - self.began > self.settings["timeout"]:
            self.signal(signal.SIGTERM)
            self.killed_at = now
        elif self.killed_at and now - self.killed_at > KILL_SECONDS:
            self.signal(signal.SIGKILL)
        return False


def start(settings: dict) -> Run | None:
    try:
        return Run(settings)
    except OSError as error:
        say(periodic=settings["name"], outcome="failed", error=str(error))
        return None


def unreachable(addresses: list[str]) -> str:
    """The first of them that takes no connection; empty when all do."""
    for address in addresses:
        host, _colon, port = address.rpartition(":")
        try:
            socket.create_connection((host, int(port)), CONNECT_SECONDS).close()
        except OSError:
            return address
    return ""


def note(health: Path) -> None:
    """Written beside first: who reads it while it is written must not find it empty."""
    fresh = health.with_name(health.name + ".new")
    # Where there is no room, the check fails for want of a note, and the command goes on.
    with contextlib.suppress(OSError):
        fresh.write_text(Path("/proc/uptime").read_text())
        fresh.replace(health)


def main(settings: dict, health: Path) -> int:
    stop = Stop()
    signal.signal(signal.SIGTERM, stop.ask)
    signal.signal(signal.SIGINT, stop.ask)
    timer, run, missing = Timer(settings, time.time()), None, ""
    text = shlex.join(settings["command"])
    say(periodic=settings["name"], outcome="waiting", command=text, when=settings.get("schedule") or settings["every"])
    while run or not stop.asked:
        if run and run.ended():
            run = None
        if not stop.asked and timer.due(time.time()):
            known, missing = missing, "" if run else unreachable(settings.get("needs", []))
            if missing and not known:
                say(periodic=settings["name"], outcome="waiting for an address", address=missing)
            elif not missing:
                timer.started(time.time())
                if run:
                    say(periodic=settings["name"], outcome="left out, it still runs")
                else:
                    run = start(settings)
        note(health)
        if run or not stop.asked:
            time.sleep(TICK_SECONDS)
    return 0


if __name__ == "__main__":
    sys.exit(main(json.loads(Path(sys.argv[1]).read_text()), Path(sys.argv[2])))
