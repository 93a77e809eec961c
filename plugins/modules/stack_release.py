# MIT License (see LICENSE)
"""Documentation of the action plugin of the same name."""

from __future__ import annotations

DOCUMENTATION = r"""
module: stack_release
short_description: Decide about a release of the application over all hosts
description:
  - Reads what was observed of all hosts (C(container_observation)) and what roles would do there, and decides which
    release slot the application's containers are to be in. Executes no module on a host and changes nothing.
options:
  state:
    description:
      - V(live) tells which release is live, V(release) whether a new one is due, V(rollback) which one to go back to.
    type: str
    choices: [live, release, rollback]
    required: true
  slots:
    description: Names of the release slots; empty when containers are replaced in place.
    type: list
    elements: str
    default: []
  stack:
    description: Name of the stack.
    type: str
    required: true
  hosts:
    description: Hosts to decide about; those that were not observed are left out.
    type: list
    elements: str
    required: true
  web_hosts:
    description: Hosts of web, all of which must have what is gone back to.
    type: list
    elements: str
    default: []
  release_hosts:
    description:
      - Hosts of the application and its edges. A release is refused when one of them is left out by C(--limit); those
        that could not be reached are returned.
    type: list
    elements: str
    default: []
  plans:
    description: The application's roles, whose plans M(broadcast.stack.role_plan) registered as C(stack_role_plans).
    type: list
    elements: str
    default: []
  target:
    description: Number of the release to go back to; 0 for the one before the live one.
    type: str
    default: "0"
attributes:
  check_mode:
    description: Changes nothing.
    support: full
author: The broadcast.stack authors
"""

EXAMPLES = r"""
- name: Find the live release
  broadcast.stack.stack_release:
    state: live
    slots: [blue, green]
    stack: shop
    hosts: "{{ ansible_play_hosts }}"
  run_once: true
  register: stack_release
"""

RETURN = r"""
due:
  description: Whether a release is to be made.
  returned: always
  type: bool
reasons:
  description: Host to the reasons why.
  returned: always
  type: dict
slot:
  description: Slot in which the application's containers are to be.
  returned: always
  type: str
origin:
  description: Number of the release that these containers belong to.
  returned: always
  type: int
number:
  description: Number of the release in the journal.
  returned: always
  type: int
absent:
  description: Hosts of O(release_hosts) that could not be reached.
  returned: always
  type: list
  elements: str
fenced:
  description: Hosts that the live release has left out and that are still away.
  returned: always
  type: list
  elements: str
previous:
  description: Record of the live release, null before the first.
  returned: always
  type: dict
unrecorded:
  description: Hosts that do not know yet, when no release is to be made, which release is live, or that it has ended.
  returned: state is release
  type: list
  elements: str
target:
  description: Record of the release that is gone back to.
  returned: for a rollback
  type: dict
journal:
  description: Records of all releases that are known.
  returned: always
  type: list
  elements: dict
actor:
  description: Who decides, user@controller.
  returned: always
  type: str
started_at:
  description: Time of the decision, UTC.
  returned: always
  type: str
"""
