# MIT License (see LICENSE)
"""Documentation of the action plugin of the same name."""

from __future__ import annotations

DOCUMENTATION = r"""
module: image_context
short_description: Copy a build context, with modes that a checkout does not decide
description:
  - Copies on the controller what enters a build, the same files that an image's name covers. Folders and programs get
    the mode C(0755), other files C(0644), so that the same commit makes the same image under any umask.
  - The copy is in Ansible's own folder and is removed at the end of the run.
options:
  context:
    description: Folder to copy; its C(.dockerignore) is honoured, version control and bytecode are left out.
    type: path
  programs:
    description: Relative paths of the files that are programs. Without it those that their owner may execute.
    type: list
    elements: str
  settings:
    description:
      - Files for the folder C(settings) of the copy, name to path on the controller; only their owner may read them.
      - When it is given, also empty, the folder is there and holds nothing but these.
    type: dict
  copy:
    description: The folder to hash or to remove, as this module returned it; for O(state=hashed) and O(state=absent).
    type: path
  state:
    description: Whether a copy is made of O(context), or O(copy) is hashed with all that was added to it, or removed.
    type: str
    choices: [present, hashed, absent]
    default: present
attributes:
  check_mode:
    description: Makes the copy.
    support: full
author: The broadcast.stack authors
"""

EXAMPLES = r"""
- name: Copy the context
  broadcast.stack.image_context:
    context: /home/me/shop
  register: copied_context

- name: Remove the copy
  broadcast.stack.image_context:
    copy: "{{ copied_context.path }}"
    state: absent
"""

RETURN = r"""
path:
  description: Folder of the copy.
  returned: state is present
  type: str
hash:
  description: Hash over path, kind and content of each file in the copy.
  returned: state is hashed
  type: str
"""
