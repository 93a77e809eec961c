# MIT License (see LICENSE)
"""The value of a variable, found without evaluating anything twice."""

from __future__ import annotations

DOCUMENTATION = r"""
name: evaluated
author: The broadcast.stack authors
short_description: Evaluate a variable and each variable that it refers to once
description:
  - Returns what a reference to the variable would. Ansible evaluates a variable at each place that refers to it, and
    all below it each time, and the specifications of containers refer to much.
options:
  _terms:
    description: Names of variables.
    required: true
"""

EXAMPLES = r"""
- name: Show a value with many parts
  ansible.builtin.debug:
    msg: "{{ lookup('broadcast.stack.evaluated', 'address') }}"
  vars:
    port: "{{ 8000 + 43 }}"
    host: "{{ ['web', port] | join('-') }}"
    address: "{{ host }}:{{ port }}"
"""

RETURN = r"""
_list:
  description: The value of each variable.
  type: list
  elements: raw
"""

from ansible.errors import AnsibleLookupError
from ansible.plugins.lookup import LookupBase
from ansible_collections.broadcast.stack.plugins.plugin_utils.evaluation import HostVariables


class LookupModule(LookupBase):
    """Evaluates named variables."""

    def run(self, terms: list, variables: dict | None = None, **kwargs: object) -> list:
        host = HostVariables.within(variables or {}, {}, self._templar)
        for term in terms:
            if term not in host.raw:
                raise AnsibleLookupError(f"No variable named {term!r} was found.")
        return [host.value(term) for term in terms]
