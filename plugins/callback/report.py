# MIT License (see LICENSE)
"""Shows what a playbook reports, and nothing else."""

from __future__ import annotations

DOCUMENTATION = r"""
name: report
type: stdout
short_description: Show only what a playbook reports
description:
  - Writes the texts of M(broadcast.stack.report) and M(broadcast.stack.stack_status) to standard output as they are,
    and why a task failed to standard error.
requirements:
  - Set as standard output, E(ANSIBLE_STDOUT_CALLBACK=broadcast.stack.report).
"""

import sys

from ansible.plugins.callback import CallbackBase

REPORTING = ("broadcast.stack.report", "broadcast.stack.stack_status")


def write(stream, text):
    """As it is, on a line of its own."""
    if text:
        stream.write(text if text.endswith("\n") else text + "\n")
        stream.flush()


def told(result):
    """The message, and what a program wrote that failed before its module could answer."""
    written = (str(result.get(name) or "").rstrip() for name in ("module_stderr", "module_stdout"))
    return "\n".join([str(result.get("msg")), *filter(None, written)])


class CallbackModule(CallbackBase):
    """Knows nothing of tasks that succeed without a report."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "stdout"
    CALLBACK_NAME = "broadcast.stack.report"

    def v2_runner_on_ok(self, result):
        if isinstance(result.result.get("exit_code"), int) and result.task.action in REPORTING:
            write(sys.stdout, result.result["msg"])
            write(sys.stderr, result.result.get("errors", ""))

    def v2_runner_on_failed(self, result, ignore_errors=False):
        if "exit_code" in result.result and result.task.action in REPORTING:
            self.v2_runner_on_ok(result)
        elif not ignore_errors:
            message = "the output is hidden due to no_log" if result.result.get("censored") else told(result.result)
            write(sys.stderr, "%s: %s: %s" % (result.host.get_name(), result.task.get_name(), message))

    def v2_runner_on_unreachable(self, result):
        if not result.task.ignore_unreachable:
            write(sys.stderr, "%s: unreachable: %s" % (result.host.get_name(), told(result.result)))
