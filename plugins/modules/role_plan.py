# MIT License (see LICENSE)
"""Documentation of the action plugin of the same name."""

from __future__ import annotations

DOCUMENTATION = r"""
module: role_plan
short_description: Tell what roles would do on hosts
description:
  - Keeps in its result what each role would do on each of its hosts, for the plan of the whole run
    (M(broadcast.stack.stack_plan)). All is decided on the controller from the hosts' observations; no module is
    executed.
  - A role says in the variable C(__<role>_plan) of its C(vars/main.yml) what is to be done. C(steps) is a dictionary of
    sentences about steps that concern no container, each with whether it is due; C(comparison) is a result of the
    filter C(broadcast.stack.container_comparison). Both may be absent.
  - Evaluates each variable once, and for one host and role what the variables of several agree about. It is meant for
    a task with C(run_once).
options:
  hosts:
    description: Role of this collection to the hosts to plan it for.
    type: dict
    required: true
  variables:
    description: Role to further variables that it is run with.
    type: dict
    default: {}
  run_tags:
    description: C(ansible_run_tags); roles are left out by their names.
    type: list
    elements: str
    default: [all]
  skip_tags:
    description: C(ansible_skip_tags).
    type: list
    elements: str
    default: []
  known:
    description: Result of an earlier plan, whose other roles are passed on.
    type: dict
    default: {}
  tolerant:
    description: Whether a host whose plan cannot be evaluated is told in C(errors) alone.
    type: bool
    default: false
  reached:
    description:
      - Hosts that may run what a role started while they were in one of its groups. That is planned to be removed, or,
        where data is with it, told in a warning.
    type: list
    elements: str
    default: []
  stack:
    description: Name of the stack whose containers on these hosts are meant.
    type: str
    default: ""
attributes:
  check_mode:
    description: Changes nothing.
    support: full
author: The broadcast.stack authors
"""

EXAMPLES = r"""
- name: Plan Redis
  broadcast.stack.role_plan:
    hosts:
      redis: "{{ groups['redis'] }}"
  run_once: true
  register: stack_role_plans
"""

RETURN = r"""
due:
  description:
    - The roles that have something to do on any host. All of them when hosts or certificates change, since what that
      means for the others shows only then.
  returned: always
  type: list
  elements: str
errors:
  description: Name of a host to why plans could not be evaluated.
  returned: always
  type: dict
removed:
  description:
    - Name of a host to the containers of web, workers, edge and gateway that would be removed there, since nothing
      specifies them any more.
  returned: always
  type: dict
roles:
  description: Role to name of a host to what the role would do there.
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
