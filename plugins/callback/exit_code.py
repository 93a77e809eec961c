# MIT License (see LICENSE)
"""Ends the process with the exit code that a task reported."""

from __future__ import annotations

DOCUMENTATION = r"""
name: exit_code
type: aggregate
short_description: End ansible-playbook with an exit code of the playbook's own
description:
  - A task may return C(exit_code) (M(broadcast.stack.report), M(broadcast.stack.stack_status)); the process then ends
    with it, instead of 2 for whatever failed.
  - A play that has a variable C(exit_code_otherwise) ends with that when there was no such task.
requirements:
  - Enable it with C(callbacks_enabled) in ansible.cfg, as the last one.
"""

from ansible.plugins.callback import CallbackBase

REPORTING = ("broadcast.stack.report", "broadcast.stack.stack_status")


class CallbackModule(CallbackBase):
    """Remembers the last exit code that was returned."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "aggregate"
    CALLBACK_NAME = "broadcast.stack.exit_code"
    CALLBACK_NEEDS_ENABLED = True

    def __init__(self):
        super().__init__()
        self.code = None
        self.otherwise = None

    def v2_playbook_on_play_start(self, play):
        self.otherwise = play.get_vars().get("exit_code_otherwise", self.otherwise)

    def v2_runner_on_ok(self, result):
        code = result.result.get("exit_code")
        if isinstance(code, int) and result.task.action in REPORTING:
            self.code = code

    def v2_runner_on_failed(self, result, ignore_errors=False):
        self.v2_runner_on_ok(result)

    def v2_playbook_on_stats(self, stats):
        code = self.code
        if code is None:
            # An inventory without hosts makes Ansible skip everything. That counts as well.
            code = self.otherwise
        if code is not None:
            # There is no other way to change the exit code: the executor counts failed hosts.
            raise SystemExit(code)
