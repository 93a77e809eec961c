# MIT License (see LICENSE)
"""Gives every inventory the wiring of the stack, below all that the inventory says itself."""

from __future__ import annotations

DOCUMENTATION = r"""
name: wiring
short_description: The wiring of the stack, C(group_vars/shared/) of the collection, for every inventory
description:
  - Gives the group C(all) the variables that connect the stack's roles. Files of an inventory in C(group_vars/all), and
    those of its groups and hosts, win.
  - It needs no link and no option, and works from any working directory.
requirements:
  - Enable it with C(vars_plugins_enabled) in ansible.cfg, before C(host_group_vars).
"""

import functools
import pathlib
import typing as t
import weakref

from ansible.inventory.group import Group
from ansible.plugins.vars import BaseVarsPlugin
from ansible.utils.vars import combine_vars

WIRING = pathlib.Path(__file__).resolve().parents[2] / "group_vars" / "shared"


@functools.lru_cache(maxsize=1)
def wiring(loader: t.Any) -> dict[str, t.Any]:
    """All files of the wiring, read as Ansible reads those of group_vars: their texts are templates."""
    values: dict[str, t.Any] = {}
    for file in sorted(WIRING.rglob("*.yml")):
        content = loader.load_from_file(str(file), cache="all", unsafe=True, trusted_as_template=True)
        values = combine_vars(values, content or {})
    return values


class VarsModule(BaseVarsPlugin):
    """
    Ansible asks for variables of a group once for each source of the inventory, then for each folder beside the
    playbook, and what comes later wins. So the wiring is given with the first one only: with the second it would win
    over what the first source says.
    """

    # Ansible keeps one instance instead of making one for every question.
    is_stateless = True
    # The group `all` of an inventory to the place that was asked for first.
    first: t.ClassVar[weakref.WeakKeyDictionary[Group, str]] = weakref.WeakKeyDictionary()

    def get_vars(self, loader, path, entities, cache=True):
        for entity in entities if isinstance(entities, list) else [entities]:
            if entity.name == "all" and isinstance(entity, Group) and self.first.setdefault(entity, path) == path:
                return wiring(loader)
        return {}
