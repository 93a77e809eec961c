#!/usr/bin/python
# MIT License (see LICENSE)
"""Removes the files that a stack has on a host, and nothing else."""

from __future__ import annotations

DOCUMENTATION = r"""
module: stack_files
short_description: Remove the files of a stack and nothing else
description:
  - Removes the folders of a stack's containers and what it knows of its releases, then the directories around them when
    nothing is left in them. What nobody of the stack has made stays, and with it the directories that hold it.
  - A folder is the stack's when it is named like one of its containers and holds what this collection renders there.
options:
  stack:
    description: Name of the stack.
    type: str
    required: true
  root:
    description: Directory of the stack on the host. Only an empty one is removed.
    type: path
    required: true
  containers:
    description: Directory in it with one folder per container.
    type: path
    required: true
  names:
    description: Containers of the stack; what is named like the stack and a hyphen is its own in any case.
    type: list
    elements: str
    default: []
  foreign:
    description: Containers of others, whose folders stay.
    type: list
    elements: str
    default: []
attributes:
  check_mode:
    description: Says what it would do.
    support: full
author: The broadcast.stack authors
"""

EXAMPLES = r"""
- name: Remove the files
  broadcast.stack.stack_files:
    stack: shop
    root: /opt/shop
    containers: /opt/shop/containers
    names: [shop-web, shop-nginx]
"""

RETURN = r"""
removed:
  description: Directories that were removed, or would be.
  returned: always
  type: list
  elements: str
kept:
  description: What stays since it is not the stack's.
  returned: always
  type: list
  elements: str
"""

import os
import shutil

from ansible.module_utils.basic import AnsibleModule

# Folders that a run makes in the folder of a container, see the role container.
MARKS = frozenset(
    {"env", "config", "mounted", "secrets", "mounted_secrets", "state", "slot", "maintenance", "loaded", "leave"}
)
RELEASES = ".release"


def is_folder(path):
    """A link is none: what it leads to is somebody else's."""
    return os.path.isdir(path) and not os.path.islink(path)


def folders(containers, stack, names, foreign):
    """Folders of the stack, and all else that lies beside them."""
    ours, others = [], []
    for name in sorted(os.listdir(containers)) if is_folder(containers) else []:
        path = os.path.join(containers, name)
        named = name == RELEASES or name in names or name.startswith(stack + "-")
        entries = set(os.listdir(path)) if is_folder(path) else None
        marked = entries is not None and (name == RELEASES or not entries or entries & MARKS)
        (ours if named and marked and name not in foreign else others).append(path)
    return ours, others


def around(root, containers):
    """Directories to remove when they are empty, the inner ones first: those between root and containers."""
    found, path = [], containers
    while path.startswith(root.rstrip("/") + "/"):
        found.append(path)
        path = os.path.dirname(path)
    return [*found, root] if path == root else [containers]


def remove(stack, root, containers, names, foreign, check_mode):
    """(removed, kept)"""
    removed, kept = folders(containers, stack, names, foreign)
    gone = set(removed)
    for path in removed if not check_mode else []:
        shutil.rmtree(path)
    for path in around(root, containers):
        if not is_folder(path):
            continue
        left = [entry for entry in sorted(os.listdir(path)) if os.path.join(path, entry) not in gone]
        if left:
            kept += [found for entry in left if (found := os.path.join(path, entry)) not in kept]
            # Directories that hold something stay as well, up to the root.
            break
        if not check_mode:
            os.rmdir(path)
        removed.append(path)
        gone.add(path)
    return removed, kept


def main():
    module = AnsibleModule(
        argument_spec={
            "stack": {"type": "str", "required": True},
            "root": {"type": "path", "required": True},
            "containers": {"type": "path", "required": True},
            "names": {"type": "list", "elements": "str", "default": []},
            "foreign": {"type": "list", "elements": "str", "default": []},
        },
        supports_check_mode=True,
    )
    asked = module.params
    root, containers = os.path.normpath(asked["root"]), os.path.normpath(asked["containers"])
    try:
        removed, kept = remove(asked["stack"], root, containers, asked["names"], asked["foreign"], module.check_mode)
    except OSError as error:
        module.fail_json(msg="The files of %s cannot be removed: %s" % (asked["stack"], error))
    module.exit_json(changed=bool(removed), removed=removed, kept=kept)


if __name__ == "__main__":
    main()
