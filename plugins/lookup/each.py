# MIT License (see LICENSE)
"""One template, many results: the variable that describes a container, evaluated once per item."""

from __future__ import annotations

DOCUMENTATION = r"""
name: each
author: The broadcast.stack authors
short_description: Evaluate a variable once per item of a dictionary
description:
  - Evaluates a variable of the play once for every item of a dictionary and returns the results as a list, in the order
    of the dictionary. While an item is evaluated, another variable holds it.
  - A role that runs any number of alike containers so keeps its specification in C(vars/main.yml) as plain data, where
    one container's role keeps it too.
options:
  _terms:
    description: Name of the variable to evaluate.
    required: true
  items:
    description: Name to dictionary.
    type: dict
    required: true
  variable:
    description: Name of the variable that holds the item while it is evaluated, the dictionary with its C(name) added.
    type: str
    required: true
"""

EXAMPLES = r"""
- name: Show one line per instance
  ansible.builtin.debug:
    msg: "{{ query('broadcast.stack.each', 'line', items={'a': {'port': 1}, 'b': {'port': 2}}, variable='instance') }}"
  vars:
    line: "{{ instance.name }} listens on {{ instance.port }}"
"""

RETURN = r"""
_list:
  description: The value of the variable for each item.
  type: list
  elements: raw
"""

from ansible.errors import AnsibleLookupError
from ansible.plugins.lookup import LookupBase
from ansible_collections.broadcast.stack.plugins.plugin_utils.evaluation import HostVariables, plain


class LookupModule(LookupBase):
    """Evaluates the named variable with the item among the variables."""

    def run(self, terms: list, variables: dict | None = None, **kwargs: object) -> list:
        variables = variables or {}
        self.set_options(var_options=variables, direct=kwargs)
        holder = self.get_option("variable")
        results = []
        for term in terms:
            if term not in variables:
                raise AnsibleLookupError(f"No variable named {term!r} was found.")
            for name, item in plain(self.get_option("items")).items():
                with_item = {holder: {**(item or {}), "name": name}}
                results.append(HostVariables.within(variables, with_item, self._templar).value(term))
        return results
