# MIT License (see LICENSE)
"""Documentation of the action plugin of the same name."""

from __future__ import annotations

DOCUMENTATION = r"""
module: role_plan
short_description: Tell what a role would do on hosts
description:
  - Keeps in its result what a role would do on each host, for the plan of the whole run
    (M(broadcast.stack.stack_plan)). All is decided on the controller from the hosts' observations; no module is
    executed.
  - Evaluates each variable once, and for one host what the variables of several agree about. With C(run_once) a role's
    plan so costs little more for many hosts than for one.
options:
  plan:
    description:
      - Name of a variable that holds C(steps), a dictionary of sentences about steps that concern no container, each
        with whether it is due, and C(comparison), a result of the filter C(broadcast.stack.container_comparison).
        Both may be absent.
    type: str
    required: true
  hosts:
    description: The hosts to plan for; without it, the host of the task.
    type: list
    elements: str
  tolerant:
    description: Whether a host whose plan cannot be evaluated is told in C(errors) alone.
    type: bool
    default: false
attributes:
  check_mode:
    description: Changes nothing.
    support: full
author: The broadcast.stack authors
"""

EXAMPLES = r"""
- name: Plan Redis
  broadcast.stack.role_plan:
    plan: example_plan
    hosts: "{{ groups['redis'] }}"
  run_once: true
  register: redis_plan
  vars:
    example_plan:
      comparison: >-
        {{ __redis_containers
        | broadcast.stack.container_comparison(container_observation, container_policy, container_settings) }}
"""

RETURN = r"""
errors:
  description: Name of a host to why its plan could not be evaluated.
  returned: always
  type: dict
hosts:
  description: Name of a host to what the role would do there.
  returned: always
  type: dict
  contains:
    due:
      description: Whether anything is to be done.
      type: bool
    steps:
      description: The sentences that are due.
      type: list
      elements: str
    changes:
      description: Containers that would be changed, C(name), C(action), C(stateful) and C(reasons).
      type: list
      elements: dict
    release:
      description: Why a new release of the application is due.
      type: list
      elements: str
"""
