# MIT License (see LICENSE)
"""Documentation of the action plugin of the same name."""

from __future__ import annotations

DOCUMENTATION = r"""
module: role_plan
short_description: Tell what a role would do on a host
description:
  - Keeps in its result what a role would do, for the plan of the whole run (M(broadcast.stack.stack_plan)). All is
    decided on the controller from the host's observation; no module is executed.
options:
  steps:
    description: Sentences about steps that concern no container, each with whether it is due.
    type: dict
    default: {}
  comparison:
    description: Result of the filter C(broadcast.stack.container_comparison).
    type: dict
    default: {}
attributes:
  check_mode:
    description: Changes nothing.
    support: full
author: The broadcast.stack authors
"""

EXAMPLES = r"""
- name: Plan Redis
  broadcast.stack.role_plan:
    comparison: >-
      {{ __redis_containers
      | broadcast.stack.container_comparison(container_observation, container_policy, container_settings) }}
  register: redis_plan
"""

RETURN = r"""
due:
  description: Whether anything is to be done.
  returned: always
  type: bool
steps:
  description: The sentences that are due.
  returned: always
  type: list
  elements: str
changes:
  description: Containers that would be changed, C(name), C(action), C(stateful) and C(reasons).
  returned: always
  type: list
  elements: dict
release:
  description: Why a new release of the application is due.
  returned: always
  type: list
  elements: str
"""
