# MIT License (see LICENSE)
"""Documentation of the action plugin of the same name."""

from __future__ import annotations

DOCUMENTATION = r"""
module: value
short_description: Register a value that is evaluated once
description:
  - A variable is evaluated at each place that refers to it; what this registers is a result, and is not.
  - Hosts with different values go through included tasks together; with different items of a loop over the include
    they would do so one after the other.
options:
  value:
    description: The value.
    type: raw
    required: true
attributes:
  check_mode:
    description: Changes nothing.
    support: full
author: The broadcast.stack authors
"""

EXAMPLES = r"""
- name: Compare the containers with their specifications
  broadcast.stack.value:
    value: "{{ lookup('broadcast.stack.evaluated', '__container_changes') }}"
  register: __container_compared
  no_log: true
"""

RETURN = r"""
value:
  description: The value.
  returned: always
  type: raw
"""
