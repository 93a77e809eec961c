# MIT License (see LICENSE)
"""A template of the role as text, without copying all variables first."""

from __future__ import annotations

DOCUMENTATION = r"""
name: rendered
author: The broadcast.stack authors
short_description: Render a template of the role
description:
  - Returns what M(ansible.builtin.template) would write. P(ansible.builtin.template#lookup) does the same, but makes a
    deep copy of all variables for each template, which was a tenth of a run that changes nothing.
  - Knows C(ansible_managed), but no other variable that the module adds, and no C(include) of other templates.
options:
  _terms:
    description: Names of files in the folder C(templates) of the role.
    required: true
  template_vars:
    description: Further variables.
    type: dict
    default: {}
"""

EXAMPLES = r"""
- name: Show a configuration
  ansible.builtin.debug:
    msg: "{{ lookup('broadcast.stack.rendered', 'redis.conf.j2') }}"
"""

RETURN = r"""
_raw:
  description: The text of each template.
  type: list
  elements: str
"""

from ansible.errors import AnsibleLookupError
from ansible.plugins.lookup import LookupBase
from ansible.template import trust_as_template
from ansible_collections.broadcast.stack.plugins.plugin_utils.evaluation import HostVariables

MANAGED = "Ansible managed"


class LookupModule(LookupBase):
    """Renders each template with the variables as they are."""

    def run(self, terms: list, variables: dict | None = None, **kwargs: object) -> list:
        variables = variables or {}
        self.set_options(var_options=variables, direct=kwargs)
        added = {"ansible_managed": MANAGED, **self.get_option("template_vars")}
        host = HostVariables.within(variables, added, self._templar, held=added)
        results = []
        for term in terms:
            path = self.find_file_in_search_path(variables, "templates", term, ignore_missing=True)
            if not path:
                raise AnsibleLookupError(f"The template {term} could not be found.")
            text = trust_as_template(self._loader.get_text_file_contents(path))
            host.prepare(text)
            results.append(host.template(text, escape_backslashes=False, overrides={"trim_blocks": True}))
        return results
