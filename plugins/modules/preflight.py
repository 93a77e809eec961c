#!/usr/bin/python
# MIT License (see LICENSE)
"""Documentation of the action plugin preflight, which runs on the controller only."""

from __future__ import annotations

DOCUMENTATION = r"""
module: preflight
short_description: Refuse an inventory or a host that cannot work
description:
  - Judges the variables of all hosts, the inventory's groups, files on the controller and the observation of each host,
    and fails with all problems at once, one line each, before anything is changed.
  - Runs on the controller and executes no module on a host; what it knows of a host was registered as
    C(container_observation) by the role broadcast.stack.container.
  - The values of secrets appear nowhere in its result.
options:
  groups:
    description: The inventory groups of a stack and what each is for.
    type: dict
    required: true
    suboptions:
      roles:
        description: Roles that run on the group's hosts; their argument_specs are validated for these hosts.
        type: list
        elements: str
      required:
        description: Whether the group must have a host.
        type: bool
      hosts_max:
        description: Number of hosts that the group may have at most; 0 for any.
        type: int
      advice:
        description: Warning that is given when the group has no host.
        type: str
      ports:
        description: Variables that hold the host ports which the group's containers publish.
        type: list
        elements: str
      bind_address:
        description: Variable that holds the host address of these ports.
        type: str
  roles:
    description: Roles that run on every host of these groups.
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
- name: Refuse what cannot work
  broadcast.stack.preflight:
    groups:
      postgres: {roles: [postgres], required: true, hosts_max: 1}
      web: {roles: [django_web], required: true}
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
