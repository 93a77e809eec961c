# MIT License (see LICENSE)
"""Documentation of the action plugin of the same name."""

from __future__ import annotations

DOCUMENTATION = r"""
module: report
short_description: Show a text as it is and end the run with an exit code
description:
  - Hands a text to the callback P(broadcast.stack.report#callback), which shows it and nothing else, and an exit code
    to P(broadcast.stack.exit_code#callback), which ends the process with it. Without them it is shown like a message.
options:
  text:
    description: The text, for standard output.
    type: str
    required: true
  errors:
    description: Text for standard error.
    type: str
    default: ""
  exit_code:
    description: Exit code of the run; where no callback ends the run with it, the task fails unless it is 0.
    type: int
    default: 0
attributes:
  check_mode:
    description: Changes nothing.
    support: full
author: The broadcast.stack authors
"""

EXAMPLES = r"""
- name: Show what the command wrote
  broadcast.stack.report:
    text: "{{ command.stdout }}"
    exit_code: "{{ command.rc }}"
"""

RETURN = r"""
msg:
  description: The text.
  returned: always
  type: str
"""
