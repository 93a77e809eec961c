# MIT License (see LICENSE)
"""The seconds of the steps of this run."""

from __future__ import annotations

DOCUMENTATION = r"""
name: steps
author: The broadcast.stack authors
short_description: How long the steps of this run took till now
description:
  - Returns what the callback P(broadcast.stack.steps#callback) has measured; nothing where it is not enabled.
options:
  _terms:
    description: None.
"""

EXAMPLES = r"""
- name: Show how long the run takes
  ansible.builtin.debug:
    msg: "{{ lookup('broadcast.stack.steps') }}"
"""

RETURN = r"""
_raw:
  description: Name of each step to its seconds, in the order in which they began.
  type: list
  elements: dict
"""

from ansible.plugins.lookup import LookupBase
from ansible_collections.broadcast.stack.plugins.plugin_utils.steps import CLOCK


class LookupModule(LookupBase):
    """Reads the clock of the run."""

    def run(self, terms: list, variables: dict | None = None, **kwargs: object) -> list:
        return [CLOCK.seconds()]
