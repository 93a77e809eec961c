#!/usr/bin/python
# MIT License (see LICENSE)
"""Documentation of the action plugin of the same name."""

from __future__ import annotations

DOCUMENTATION = r"""
module: run_check
short_description: Refuse a run that was started wrongly
description:
  - Fails with one line per problem when Ansible was started in a way in which it would do something else than was
    asked and end well. That is an inventory without hosts, settings of somebody else, a C(--limit) or C(--tags) that
    matches nothing.
  - Judges the paths and names of all hosts too, since some verbs delete by them.
  - Runs on the controller and executes no module on a host.
options:
  tags:
    description: Tags that the playbook has for its users; empty when it cannot be run in parts.
    type: list
    elements: str
    default: []
  paths:
    description: Judge paths and names; false where M(broadcast.stack.preflight) follows, which reports all at once.
    type: bool
    default: true
attributes:
  check_mode:
    description: Changes nothing.
    support: full
author: The broadcast.stack authors
"""

EXAMPLES = r"""
- name: Refuse a run that was started wrongly
  broadcast.stack.run_check:
  run_once: true
"""

RETURN = r"""
msg:
  description: All problems, one line each.
  returned: when there are any
  type: str
"""
