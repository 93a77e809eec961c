"""The fleet lock as real runs see it, on this machine."""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml
from ansible_collections.broadcast.stack.plugins.module_utils import lock as rules
from ansible_collections.broadcast.stack.plugins.plugin_utils import heartbeat

ROOT = Path(__file__).resolve().parents[2]
LONG = 90


class Stage:
    """A directory with a lock, and runs that want it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.lock = rules.Lock(str(folder / "lock"))

    def start(self, *tasks: dict, check: bool = False, ttl: int = 60, **options) -> subprocess.Popen:
        """
        A run that takes the lock, does the tasks and says so by files. Its time to live is one that heartbeats keep on
        a busy machine too; else others would take the lock over.
        """
        arguments = {"path": self.lock.path, "ttl": ttl}
        for task in tasks:
            if isinstance(inner := task.get("broadcast.stack.stack_lock"), dict):
                task["broadcast.stack.stack_lock"] = {**arguments, "token": "{{ stack_lock.token }}", **inner}
        play = {
            "hosts": "localhost",
            "connection": "local",
            "gather_facts": False,
            "vars": {"ansible_python_interpreter": "{{ ansible_playbook_python }}"},
            "tasks": [
                {
                    "name": "Take the lock",
                    "broadcast.stack.stack_lock": {**arguments, "purpose": "test.yml", **options},
                    "register": "stack_lock",
                },
                {"name": "Show", "ansible.builtin.debug": {"msg": "RESULT {{ stack_lock | to_json }}"}},
                *tasks,
            ],
        }
        playbook = self.folder / "play.yml"
        playbook.write_text(yaml.safe_dump([play], sort_keys=False))
        environment = {**os.environ, "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"), "COLUMNS": "4000"}
        command = ["ansible-playbook", *(["--check"] if check else []), str(playbook)]
        return subprocess.Popen(
            command, cwd=ROOT, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )

    def run(self, *tasks: dict, **options) -> tuple[int, str]:
        process = self.start(*tasks, **options)
        output, _none = process.communicate(timeout=LONG)
        return process.returncode, re.sub(r"\s+", " ", output)

    def foreign(self, ttl: int = 3, age: float = 0) -> str:
        """Token of a holder on another controller."""
        process = {"controller": "another", "pid": "1", "started": "1"}
        token = self.lock.take("anna@laptop", "release.yml", ttl, process)[0]["token"]
        self.beaten(token, age)
        return token

    def beaten(self, token: str, age: float) -> None:
        """Make the last heartbeat this many seconds old, of a holder that is still the same."""
        moment = time.time() - age
        with contextlib.suppress(FileNotFoundError):
            os.utime(self.lock.beat_path(token), (moment, moment))

    @contextlib.contextmanager
    def aged(self, token: str, age: float) -> Iterator[None]:
        """Meanwhile the last heartbeat stays this old, however long a run takes to begin on a busy machine."""
        ended = threading.Event()

        def hold() -> None:
            while not ended.wait(0.2):
                self.beaten(token, age)

        holding = threading.Thread(target=hold)
        holding.start()
        try:
            yield
        finally:
            ended.set()
            holding.join()

    def watched(self, token: str, age: float, then: Callable[[], None]) -> tuple[int, str]:
        """A run that finds a heartbeat of this age; when it waits for another one, the function is called."""
        process = self.start(task("Release", state="released"))
        output = ""
        with self.aged(token, age):
            for line in process.stdout:
                output += line
                if line.rstrip().endswith("Waiting."):
                    break
        then()
        with process.stdout:
            output += process.stdout.read()
        return process.wait(LONG), re.sub(r"\s+", " ", output)


@pytest.fixture
def stage(tmp_path) -> Stage:
    return Stage(tmp_path)


def wait_until(condition, what: str) -> None:
    deadline = time.monotonic() + LONG
    while not condition():
        assert time.monotonic() < deadline, "in vain: " + what
        time.sleep(0.1)


def heartbeats(stage: Stage) -> list[int]:
    """Processes that run the stage's playbook without being its first."""
    done = subprocess.run(["pgrep", "-f", str(stage.folder / "play.yml")], capture_output=True, text=True, check=False)
    return [int(line) for line in done.stdout.split() if heartbeat.started(int(line))]


def task(name: str, **arguments) -> dict:
    return {"name": name, "broadcast.stack.stack_lock": arguments}


def sleeping(seconds: int) -> dict:
    return {"name": "Sleep", "ansible.builtin.wait_for": {"timeout": seconds}}


def test_a_run_holds_verifies_and_releases_the_lock_without_a_change(stage):
    code, output = stage.run(task("Verify", state="verified"), task("Release", state="released"))
    assert code == 0, output
    assert "changed=0" in output
    assert os.listdir(stage.lock.path) == ["guard"]
    assert heartbeats(stage) == []


def test_the_heartbeat_outlives_the_time_to_live_and_the_next_run_takes_a_killed_ones_lock_at_once(stage):
    # Overdue 16 seconds after the kill.
    process = stage.start(sleeping(2 * LONG), ttl=48)
    try:
        wait_until(lambda: stage.lock.holder(), "the lock")
        token = stage.lock.holder()["token"]
        time.sleep(50)
        assert stage.lock.holder()["token"] == token
        assert not stage.lock.holder()["overdue"]
        code, output = stage.run()
        assert code != 0
        assert re.search(r"held by \S+@\S+ for test.yml since \S+ \(\d+ s\); its last heartbeat was \d+ s ago", output)
    finally:
        process.kill()
        process.stdout.close()
        process.wait(LONG)
    # The worker with the task is left to finish it; what renews the lock must go.
    wait_until(lambda: stage.lock.holder()["overdue"], "the end of the heartbeats")
    age = stage.lock.holder()["heartbeat_age"]
    assert token == stage.lock.holder()["token"]
    with stage.aged(token, age):
        code, output = stage.run(task("Release", state="released"), ttl=600)
    assert code == 0, output
    assert "whose process is gone" in output
    assert age > 0
    for pid in heartbeats(stage):
        os.kill(pid, 9)


def test_of_two_runs_one_waits_for_the_other(stage):
    first = stage.start(sleeping(3), task("Release", state="released"))
    wait_until(lambda: stage.lock.holder(), "the lock")
    owner = stage.lock.holder()["token"]
    code, output = stage.run(task("Release", state="released"), wait=60)
    assert code == 0, output
    assert '"taken_over_from": null' in output.replace("\\", "")
    assert first.wait(LONG) == 0
    first.stdout.close()
    assert owner not in output


def test_a_fresh_lock_of_another_controller_is_refused_at_once(stage):
    stage.foreign(ttl=600)
    code, output = stage.run()
    assert code != 0
    assert "held by anna@laptop for release.yml" in output
    assert "was overdue" not in output


def test_who_waits_takes_a_dead_owners_lock_over_as_soon_as_it_is_stale(stage):
    stage.foreign(ttl=3)
    begun = time.monotonic()
    code, output = stage.run(task("Release", state="released"), wait=LONG)
    assert code == 0, output
    assert "Took the lock" in output
    assert "over from anna@laptop for release.yml" in output
    assert time.monotonic() - begun < LONG / 2


def test_an_overdue_owner_is_watched_until_it_is_stale_even_by_those_who_do_not_wait(stage):
    token = stage.foreign(ttl=30, age=15)
    code, output = stage.watched(token, 15, lambda: None)
    assert code == 0, output
    assert "Took the lock" in output
    assert "Its heartbeat was overdue" in output


def test_an_overdue_owner_that_comes_back_keeps_its_lock(stage):
    token = stage.foreign(ttl=60, age=25)
    code, output = stage.watched(token, 25, lambda: stage.lock.verify(token))
    assert code != 0
    assert "Its heartbeat was overdue" in output
    assert stage.lock.holder()["token"] == token


def test_a_run_whose_lock_was_taken_over_stops_at_the_next_verification(stage):
    flag = stage.folder / "flag"
    touch = {"name": "Tell the test", "ansible.builtin.file": {"path": str(flag), "state": "touch"}}
    process = stage.start(
        touch, sleeping(3), task("Verify", state="verified"), {"name": "Go on", "ansible.builtin.debug": {}}
    )
    wait_until(flag.exists, "the lock")
    stage.lock.take("anna@laptop", "release.yml", 600, abandoned=stage.lock.holder()["token"])
    output = re.sub(r"\s+", " ", process.communicate(timeout=LONG)[0])
    assert process.returncode != 0
    assert "This run does not hold the lock" in output
    assert "Now it is held by anna@laptop for release.yml" in output
    assert "Go on" not in output
    assert stage.lock.holder()["owner"] == "anna@laptop"


def test_a_second_attempt_of_the_same_run_keeps_the_lock_and_one_heartbeat(stage):
    again = {**task("Take it again", state="held", token=""), "register": "again"}
    same = {"name": "Compare", "ansible.builtin.assert": {"that": ["again.token == stack_lock.token"]}}
    code, output = stage.run(again, same, task("Release", state="released"))
    assert code == 0, output
    assert heartbeats(stage) == []


def test_check_mode_takes_nothing_and_says_who_holds_the_lock(stage):
    tasks = (task("Verify", state="verified"), task("Release", state="released"))
    code, output = stage.run(*tasks, check=True)
    assert code == 0, output
    assert not os.path.exists(stage.lock.path)
    token = stage.foreign(ttl=600)
    code, output = stage.run(*tasks, check=True)
    assert code == 0, output
    assert "held by anna@laptop" in output
    assert stage.lock.holder()["token"] == token


def test_a_place_that_cannot_be_written_is_named(stage):
    (stage.folder / "lock").write_text("a file")
    code, output = stage.run()
    assert code != 0
    assert "cannot be used" in output
