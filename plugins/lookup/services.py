# MIT License (see LICENSE)
"""Services of the register, meta/services.yml."""

from __future__ import annotations

DOCUMENTATION = r"""
name: services
author: The broadcast.stack authors
short_description: Roles of the stack's services
description:
  - Returns the roles of the services in meta/services.yml, in their order.
options:
  _terms:
    description: Properties that a service must have, by the names that they have in the register.
"""

EXAMPLES = r"""
- name: Show what starts beside the live release
  ansible.builtin.debug:
    msg: "{{ query('broadcast.stack.services', 'slots') }}"
"""

RETURN = r"""
_raw:
  description: Names of roles.
  type: list
  elements: str
"""

from ansible.plugins.lookup import LookupBase
from ansible_collections.broadcast.stack.plugins.plugin_utils.services import register


class LookupModule(LookupBase):
    """Reads the register."""

    def run(self, terms: list, variables: dict | None = None, **kwargs: object) -> list:
        return register.roles(*terms)
