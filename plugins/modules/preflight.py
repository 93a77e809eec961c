#!/usr/bin/python
# MIT License (see LICENSE)
"""Documentation of the action plugin preflight, which runs on the controller only."""

from __future__ import annotations

DOCUMENTATION = r"""
module: preflight
short_description: Refuse an inventory or a host that cannot work
description:
  - Judges the variables of all hosts, the inventory's groups, files on the controller and the observation of each host,
    and fails with all problems at once, one line each, before anything is changed. Which groups there are and what each
    is for is told by meta/services.yml.
  - Runs on the controller and executes no module on a host; what it knows of a host was registered as
    C(container_observation) by the role broadcast.stack.container.
  - The values of secrets appear nowhere in its result.
attributes:
  check_mode:
    description: Changes nothing.
    support: full
author: The broadcast.stack authors
"""

EXAMPLES = r"""
- name: Refuse what cannot work
  broadcast.stack.preflight:
  run_once: true
"""

RETURN = r"""
reached_all:
  description: Whether every host could be observed.
  returned: always
  type: bool
msg:
  description: One short line, or all problems, one line each.
  returned: always
  type: str
"""
