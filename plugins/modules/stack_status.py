# MIT License (see LICENSE)
"""Documentation of the action plugin of the same name."""

from __future__ import annotations

DOCUMENTATION = r"""
module: stack_status
short_description: Tell what of a stack runs on its hosts
description:
  - Puts together what was observed on all hosts (C(container_observation)) and what roles would do there, and tells
    whether all is as it should be. Executes no module on a host and changes nothing.
  - The callback P(broadcast.stack.exit_code#callback) turns C(exit_code) into that of the process. Without it the task
    fails when something is broken or differs.
options:
  stack:
    description: Name of the stack.
    type: str
    required: true
  hosts:
    description: Hosts of the stack, also those that could not be observed.
    type: list
    elements: str
    required: true
  slots:
    description: Names of the release slots; empty when containers are replaced in place.
    type: list
    elements: str
    default: []
  web_hosts:
    description: Hosts of web, which have a live release.
    type: list
    elements: str
    default: []
  backups:
    description: Host to the names of its backups containers.
    type: dict
    default: {}
  maintenance:
    description: Edge to the path of the file that turns maintenance on there.
    type: dict
    default: {}
  asked:
    description:
      - Host to the containers that were asked (C(answers) of C(container_observation)), each with what it is, V(web),
        V(redis) or V(postgres).
    type: dict
    default: {}
  least_free_mb:
    description: Free MiB of Docker's directory that a deployment needs; fewer are told.
    type: int
    default: 0
  form:
    description: A table for people or a document for programs.
    type: str
    choices: [table, json]
    default: table
  output:
    description: File on the controller that gets the report as well.
    type: path
    default: ""
attributes:
  check_mode:
    description: Changes nothing but O(output).
    support: full
author: The broadcast.stack authors
"""

EXAMPLES = r"""
- name: Show the status
  broadcast.stack.stack_status:
    stack: shop
    hosts: "{{ groups['all'] }}"
    roles: [redis]
  run_once: true
"""

RETURN = r"""
exit_code:
  description: >-
    0 when all is healthy, 1 when something is broken, 3 when something is degraded, 2 when something differs from what
    is specified. The worst counts, in the order 1, 3, 2.
  returned: always
  type: int
msg:
  description: The table or the document.
  returned: always
  type: str
"""
