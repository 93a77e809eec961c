"""How long the steps of a run take."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from ansible_collections.broadcast.stack.plugins.plugin_utils import steps

ROOT = Path(__file__).resolve().parents[2]
PLAYBOOK = """
- hosts: localhost
  gather_facts: false
  vars: {stack_step: preflight}
  tasks:
    - meta: end_play
- hosts: localhost
  gather_facts: false
  vars: {stack_step: build}
  tasks:
    - command: sleep 0.3
      changed_when: false
- hosts: localhost
  gather_facts: false
  vars: {stack_step: start}
  tasks:
    - block:
        - command: sleep 0.2
        - debug: {msg: "told {{ lookup('broadcast.stack.steps') | list | join(' ') }}"}
      vars: {stack_step: switch}
"""


class Time:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def node(parent=None, **variables):
    return SimpleNamespace(vars=variables, _parent=parent)


def test_every_second_belongs_to_one_step() -> None:
    time = Time()
    clock = steps.Clock(time)
    assert clock.seconds() == {}
    time.now += 2
    clock.begin("preflight")
    time.now += 1
    clock.begin("start")
    time.now += 4
    # What goes on is not begun anew, and what was is gone on with.
    clock.begin("preflight")
    time.now += 0.25
    assert clock.seconds() == {"preflight": 3.2, "start": 4.0}
    time.now += 10
    assert sum(clock.seconds().values()) == pytest.approx(time.now - 100, abs=0.1)


def test_a_line_has_the_order_of_a_release_and_leaves_out_what_took_no_time() -> None:
    assert (
        steps.line({"drain": 1.04, "build": 2.5, "mine": 0.1, "gate": 0.0}) == "3.6 s: build 2.5, drain 1.0, mine 0.1"
    )


def test_the_nearest_says_which_step_a_task_belongs_to() -> None:
    block = node(node(stack_step="start"), container_slot="blue")
    assert steps.step_of(node(block), {"stack_step": "preflight"}) == "start"
    assert steps.step_of(node(block, container_step="gate"), {}) == "gate"
    assert steps.step_of(node(), {"stack_step": "preflight"}) == "preflight"
    assert steps.step_of(node(), {"stack_steps": "x"}) == ""


def test_a_run_tells_its_steps_and_its_last_line_shows_them(tmp_path) -> None:
    (tmp_path / "site.yml").write_text(PLAYBOOK)
    environment = {**os.environ, "ANSIBLE_CALLBACKS_ENABLED": "broadcast.stack.steps", "ANSIBLE_NOCOLOR": "1"}
    command = [
        Path(sys.executable).parent / "ansible-playbook",
        "-i",
        "localhost,",
        "-c",
        "local",
        tmp_path / "site.yml",
    ]
    done = subprocess.run(command, cwd=ROOT, env=environment, text=True, capture_output=True, check=False)
    assert done.returncode == 0, done.stdout
    # A play that ended at once, and one whose tasks are all of another step, have begun none.
    assert "told build switch" in done.stdout
    last = done.stdout.strip().splitlines()[-1]
    assert last.startswith("Steps: ")
    assert " s: build " in last
    assert ", switch " in last
    assert "preflight" not in last
    assert "start" not in last
