# MIT License (see LICENSE)
"""Documentation of the action plugin of the same name."""

from __future__ import annotations

DOCUMENTATION = r"""
module: stack_plan
short_description: Show what a run would do on all hosts
description:
  - Collects what the roles planned on each host (M(broadcast.stack.role_plan)) and shows it, one line each. Executes no
    module on a host and changes nothing.
options:
  hosts:
    description: Hosts of the plan.
    type: list
    elements: str
    required: true
  roles:
    description: Roles to show, in this order, of those whose plans M(broadcast.stack.role_plan) keeps.
    type: list
    elements: str
    required: true
  release:
    description: Result of M(broadcast.stack.stack_release).
    type: dict
    default: {}
  notes:
    description: Further lines that are shown with a plan.
    type: list
    elements: str
    default: []
attributes:
  check_mode:
    description: Changes nothing.
    support: full
author: The broadcast.stack authors
"""

EXAMPLES = r"""
- name: Show the plan
  broadcast.stack.stack_plan:
    hosts: "{{ ansible_play_hosts }}"
    roles: [docker_host, redis]
  run_once: true
  register: stack_plan
"""

RETURN = r"""
due:
  description: Whether anything is to be done.
  returned: always
  type: bool
msg:
  description: What is to be done, one line each.
  returned: always
  type: str
"""
