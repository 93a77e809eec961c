# MIT License (see LICENSE)
"""Why a task failed, in one line: Ansible's first line often is not the one that says it."""

from __future__ import annotations

import re
import typing as t

OTHER_KEY = "REMOTE HOST IDENTIFICATION HAS CHANGED"
# ansible-core marks what a program wrote in the message of the connection that started it.
WRITTEN = re.compile(r">>> Standard (?:Error|Output)\n")


def last_line(text: t.Any) -> str:
    lines = [" ".join(line.split()) for line in str(text or "").splitlines() if line.strip()]
    return lines[-1] if lines else ""


def reason(result: t.Mapping[str, t.Any]) -> str:
    """
    The first line of a failed task's message, and the last one of what a program wrote that failed before its module
    could answer: sudo, the shell, Python.
    """
    message = str(result.get("msg", "")).removeprefix("Task failed: ")
    if OTHER_KEY in message:
        return OTHER_KEY
    # The first line may be a frame of the program that made the connection.
    first = next((line.strip() for line in message.splitlines() if re.search(r"\w", line)), "")
    written = last_line(WRITTEN.split(message)[1]) if WRITTEN.search(message) else ""
    written = written or last_line(result.get("module_stderr")) or last_line(result.get("module_stdout"))
    return "%s: %s" % (first.rstrip(".:"), written) if written and written not in first else first


def key_remedy(result: t.Mapping[str, t.Any]) -> str:
    """The command that forgets the key of a host whose key is another one now; empty when that is not the reason."""
    message = str(result.get("msg", ""))
    if OTHER_KEY not in message:
        return ""
    command = re.search(r"ssh-keygen -f .*? -R .*", message)
    name = re.search(r"Host key for (\S+) has changed", message)
    return command[0].strip() if command else "ssh-keygen -R %s" % (name[1] if name else "HOST")
