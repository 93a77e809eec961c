# MIT License (see LICENSE)
"""A small process on the controller that repeats a call for as long as another process lives, and never longer."""

from __future__ import annotations

import contextlib
import gc
import os
import pathlib
import platform
import select
import signal
import subprocess
import time
import typing as t

PROC = pathlib.Path("/proc")
# Where a look at processes starts another process, the look is taken less often.
POLL_SECONDS = 0.5 if (PROC / "self" / "stat").exists() else 2.0
FAILED = 1


def started(pid: int) -> str:
    """When a process started, in whatever form tells it from a later one of the same number; empty when it is gone."""
    if (PROC / "self" / "stat").exists():
        try:
            # The name in parentheses may hold blanks and parentheses.
            fields = (PROC / str(pid) / "stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
        except OSError:
            return ""
        # A zombie has ended; nobody has asked for its exit code yet.
        return "" if fields[0] in "ZX" else fields[19]
    done = subprocess.run(["ps", "-o", "stat=,lstart=", "-p", str(pid)], capture_output=True, text=True, check=False)
    state, _sep, since = done.stdout.strip().partition(" ")
    return "" if state.startswith("Z") else since.strip()


def controller() -> str:
    """What names the processes of this machine since its start: numbers of another boot or container mean others."""
    if (PROC / "self" / "stat").exists():
        try:
            boot = (PROC / "sys/kernel/random/boot_id").read_text(encoding="utf-8").strip()
            return "%s/%s/%s" % (platform.node(), boot, os.readlink("/proc/self/ns/pid"))
        except OSError:
            return ""
    done = subprocess.run(["sysctl", "-n", "kern.boottime"], capture_output=True, text=True, check=False)
    return "%s/%s" % (platform.node(), done.stdout.strip())


def process(pid: int) -> dict[str, str]:
    """A process of this controller in a form that can be written down; empty when it could be mistaken for another."""
    return {"controller": machine, "pid": str(pid), "started": started(pid)} if (machine := controller()) else {}


def is_gone(known: t.Mapping[str, str]) -> bool:
    """Whether a process that was written down surely has ended; one of another controller never surely has."""
    if not known.get("started") or known.get("controller") != controller():
        return False
    pid = int(known["pid"])
    if found := started(pid):
        return found != known["started"]
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        # The process may be another user's, and /proc may hide it (hidepid). When /proc hides none, this is a zombie.
        return (PROC / str(pid)).exists()
    return True


def let_go_of_files(keep: int) -> None:
    """
    Hold nothing open of what was inherited. The numbers stay taken: Python objects that still believe to own one would
    otherwise close whatever gets it next.
    """
    null = os.open(os.devnull, os.O_RDWR)
    folder = "/proc/self/fd" if os.path.isdir("/proc/self/fd") else "/dev/fd"
    for number in [int(name) for name in os.listdir(folder)]:
        if number not in (keep, null):
            with contextlib.suppress(OSError):
                # The file descriptor that the listing itself used cannot be read.
                os.fstat(number)
                os.dup2(null, number, inheritable=number < 3)


class Heartbeat:
    """
    Calls beat every interval seconds while alive() is true, at most for lifetime seconds, and ends when a beat returns
    gone. Each beat runs in a process of its own, which is killed with all that it started when it takes too long: a
    connection that hangs or has died in one beat cannot harm the next.
    """

    def __init__(
        self,
        beat: t.Callable[[], int],
        alive: t.Callable[[], bool],
        interval: float,
        gone: int,
        lifetime: float = 24 * 3600,
        beat_timeout: float = 10,
    ) -> None:
        self.beat, self.alive, self.interval, self.gone = beat, alive, interval, gone
        self.lifetime, self.beat_timeout = lifetime, beat_timeout
        self.stopping = False

    def start(self) -> tuple[int, int]:
        """Number of the detached process and the outcome of its first beat."""
        reader, writer = os.pipe()
        child = os.fork()
        if child == 0:
            # Whatever happens in here, the code of the caller must not be reached.
            with contextlib.suppress(BaseException):
                os.setsid()
                if os.fork() == 0:
                    with contextlib.suppress(BaseException):
                        self.run(writer)
            os._exit(0)
        os.close(writer)
        os.waitpid(child, 0)
        text, deadline = "", time.monotonic() + self.beat_timeout + 5
        while text.count("\n") < 2 and select.select([reader], [], [], max(0, deadline - time.monotonic()))[0]:
            if not (part := os.read(reader, 100).decode()):
                break
            text += part
        os.close(reader)
        words = text.split()
        return int(words[0]) if words else 0, int(words[1]) if len(words) > 1 else FAILED

    def stop(self, *_signal: t.Any) -> None:
        self.stopping = True

    def run(self, writer: int) -> None:
        let_go_of_files(keep=writer)
        # The processes of beats copy what is written, and a collection writes to everything.
        gc.freeze()
        for number in (signal.SIGINT, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, self.stop)
        os.chdir("/")
        os.write(writer, b"%d\n" % os.getpid())
        end, due, first = time.monotonic() + self.lifetime, 0.0, True
        while not self.stopping and self.alive() and time.monotonic() < end:
            if time.monotonic() >= due:
                code = self.bounded_beat()
                if first:
                    with contextlib.suppress(OSError):
                        os.write(writer, b"%d\n" % code)
                    os.close(writer)
                    first = False
                if code == self.gone:
                    return
                due = time.monotonic() + (self.interval if code == 0 else min(1, self.interval))
            time.sleep(min(POLL_SECONDS, self.interval))

    def bounded_beat(self) -> int:
        child = os.fork()
        if child == 0:
            with contextlib.suppress(BaseException):
                self.beat_process()
            os._exit(FAILED)
        # One second more than the child allows itself.
        deadline, pause, terminated = time.monotonic() + self.beat_timeout + 1, 0.01, False
        while True:
            pid, status = os.waitpid(child, os.WNOHANG)
            if pid:
                return os.waitstatus_to_exitcode(status) if os.WIFEXITED(status) else FAILED
            if time.monotonic() > deadline:
                os.kill(child, signal.SIGKILL)
            elif not terminated and (self.stopping or not self.alive()):
                os.kill(child, signal.SIGTERM)
                terminated, deadline = True, time.monotonic() + 2
            time.sleep(pause)
            pause = min(2 * pause, 0.2)

    def beat_process(self) -> t.NoReturn:
        processes: list[subprocess.Popen] = []

        class Recorded(subprocess.Popen):
            """Remembered, since connection plugins start programs in sessions of their own."""

            def __init__(self, *args: t.Any, **kwargs: t.Any) -> None:
                super().__init__(*args, **kwargs)
                processes.append(self)

        def abort(*_signal: t.Any) -> t.NoReturn:
            for one in processes:
                with contextlib.suppress(OSError):
                    one.kill()
            os._exit(FAILED)

        subprocess.Popen = Recorded
        signal.signal(signal.SIGTERM, abort)
        signal.signal(signal.SIGALRM, abort)
        signal.setitimer(signal.ITIMER_REAL, self.beat_timeout)
        os._exit(self.beat() & 0xFF)


def end(pid: int, since: str, seconds: float = 5) -> None:
    """End a heartbeat that started then, and wait until it is gone."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        deadline = time.monotonic() + seconds
        if since and started(pid) == since:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)
        while since and started(pid) == since and time.monotonic() < deadline:
            time.sleep(0.02)
