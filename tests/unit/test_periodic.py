"""A command on a timer: when it is due, never twice at a time, stopped when it takes too long."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
# Generous: a guard against hangs, not a measurement.
SECONDS = 30


@pytest.fixture
def program(tmp_path: Path) -> Path:
    """The program as the container sees it: beside the module that it takes its times from."""
    shutil.copy(ROOT / "plugins/plugin_utils/services/cron.py", tmp_path)
    return Path(shutil.copy(ROOT / "roles/celery_worker/files/periodic.py", tmp_path))


class Timer:
    def __init__(self, program: Path, **settings: object) -> None:
        self.log = program.with_name("log")
        complete = {"name": "tidy", "working_dir": str(program.parent), "schedule": "", "every": 0, "timeout": 20}
        program.with_name("periodic.json").write_text(json.dumps({**complete, **settings}))
        with open(self.log, "w") as stream:
            self.process = subprocess.Popen(
                [sys.executable, program, program.with_name("periodic.json"), program.with_name("health")],
                stdout=stream,
            )

    def lines(self) -> list[dict]:
        return [json.loads(line) for line in self.log.read_text().splitlines() if line.startswith("{")]

    def wait(self, outcome: str, count: int = 1) -> list[dict]:
        deadline = time.monotonic() + SECONDS
        while True:
            found = [line for line in self.lines() if line["outcome"] == outcome]
            if len(found) >= count:
                return found
            assert time.monotonic() < deadline, self.log.read_text()
            time.sleep(0.1)


@pytest.fixture
def timer(program: Path):
    started = []

    def start(**settings: object) -> Timer:
        started.append(Timer(program, **settings))
        return started[-1]

    yield start
    for one in started:
        one.process.kill()
        one.process.wait()


def python(code: str) -> list[str]:
    return [sys.executable, "-c", code]


def test_an_interval_runs_at_once_and_again(timer, program):
    one = timer(command=python("print('ran')"), every=1)
    assert [line["exit_code"] for line in one.wait("done", 2)][:2] == [0, 0]
    assert program.with_name("health").read_text().split()[0]


def test_a_command_waits_for_the_address_that_it_needs(timer):
    with socket.socket() as data:
        data.bind(("127.0.0.1", 0))
        # Bound and not listening: connections are refused.
        address = f"127.0.0.1:{data.getsockname()[1]}"
        one = timer(command=python("print('ran')"), every=1, needs=[address])
        assert one.wait("waiting for an address")[0]["address"] == address
        time.sleep(3)
        assert [line["outcome"] for line in one.lines()] == ["waiting", "waiting for an address"]
        data.listen()
        one.wait("done")


def test_a_health_that_cannot_be_noted_ends_nothing(timer, program):
    # As on a full file system: there is something in the way.
    program.with_name("health.new").mkdir()
    assert timer(command=python("print('ran')"), every=1).wait("done", 2)


def test_a_failure_is_told_and_the_next_run_comes(timer):
    one = timer(command=python("raise SystemExit(3)"), every=1)
    assert [line["exit_code"] for line in one.wait("failed", 2)][:2] == [3, 3]


def test_a_missing_program_is_told(timer):
    assert "no-such-program" in timer(command=["no-such-program"], every=1).wait("failed")[0]["error"]


def test_it_never_runs_twice_at_a_time(timer):
    one = timer(command=python("import time; time.sleep(60)"), every=1)
    one.wait("left out, it still runs")
    assert [line for line in one.lines() if line["outcome"] == "done"] == []


def test_what_takes_too_long_is_stopped_with_what_it_started(timer):
    code = "import subprocess, time; subprocess.Popen(['sleep', '60']); time.sleep(60)"
    assert timer(command=python(code), every=600, timeout=1).wait("timed out")


def test_a_running_command_may_finish_when_the_container_stops(timer, program):
    code = "import pathlib, time; pathlib.Path('began').touch(); time.sleep(3); pathlib.Path('ended').touch()"
    one = timer(command=python(code), every=600)
    deadline = time.monotonic() + SECONDS
    while not program.with_name("began").exists():
        assert time.monotonic() < deadline
        time.sleep(0.1)
    os.kill(one.process.pid, signal.SIGTERM)
    assert one.process.wait(SECONDS) == 0
    assert program.with_name("ended").exists()


@pytest.mark.parametrize("end", [signal.SIGTERM, signal.SIGKILL])
def test_a_timer_that_ended_begins_its_interval_anew(timer, end):
    """It remembers nothing: the first run is at once, however long ago the last one was."""
    settings = {"command": python("print('ran')"), "every": 600}
    first = timer(**settings)
    first.wait("done")
    first.process.send_signal(end)
    first.process.wait(SECONDS)
    assert timer(**settings).wait("done")


def test_a_schedule_waits_for_its_next_time(program, monkeypatch):
    monkeypatch.syspath_prepend(str(program.parent))
    import runpy

    names = runpy.run_path(str(program))
    noon = 1_800_000_000 // 86400 * 86400 + 43200
    one = names["Timer"]({"schedule": "0 12 * * *"}, noon + 1)
    assert not one.due(noon + 3600)
    assert one.due(noon + 86400)
    one.started(noon + 86400)
    assert not one.due(noon + 86400 + 60)
