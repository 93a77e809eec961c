"""What the callback report shows of a task that failed."""

from __future__ import annotations

from ansible_collections.broadcast.stack.plugins.callback.report import told


def test_what_the_host_wrote_is_shown_when_a_module_could_not_answer() -> None:
    result = {"msg": "No start of json char found", "module_stderr": "sudo: not allowed\n", "module_stdout": ""}
    assert told(result) == "No start of json char found\nsudo: not allowed"


def test_a_module_that_answered_is_shown_by_its_message() -> None:
    assert told({"msg": "The Engine refused", "stderr": "more"}) == "The Engine refused"
