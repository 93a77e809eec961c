# MIT License (see LICENSE)
"""Measures the steps of a run and shows their seconds in its last line."""

from __future__ import annotations

DOCUMENTATION = r"""
name: steps
type: aggregate
short_description: Measure how long the steps of a run take
description:
  - A play, block, include or task that has a variable C(stack_step), or one with a role's prefix such as
    C(images_step), begins a step of that name. It lasts until another one begins.
  - The lookup P(broadcast.stack.steps#lookup) returns the seconds to the tasks of the run, and a run of more than one
    step shows them at its end.
requirements:
  - Enable it with C(callbacks_enabled) in ansible.cfg.
"""

from ansible.plugins.callback import CallbackBase
from ansible_collections.broadcast.stack.plugins.plugin_utils import steps

META = ("meta", "ansible.builtin.meta")


class CallbackModule(CallbackBase):
    """Tells the clock of the run which step has begun."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "aggregate"
    CALLBACK_NAME = "broadcast.stack.steps"
    CALLBACK_NEEDS_ENABLED = True

    def __init__(self):
        super().__init__()
        self.play_vars = {}

    def v2_playbook_on_play_start(self, play):
        self.play_vars = play.get_vars()

    def v2_playbook_on_task_start(self, task, is_conditional):
        # A play that ends at once begins no step.
        step = "" if task.action in META else steps.step_of(task, self.play_vars)
        if step and step != steps.CLOCK.step:
            steps.CLOCK.begin(step)

    def v2_playbook_on_stats(self, stats):
        seconds = steps.CLOCK.seconds()
        if len(seconds) > 1:
            self._display.display("Steps: %s" % steps.line(seconds))
