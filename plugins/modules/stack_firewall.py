#!/usr/bin/python
# MIT License (see LICENSE)
"""Apply a stack's nftables table, now and whenever the host starts."""

from __future__ import annotations

DOCUMENTATION = r"""
module: stack_firewall
short_description: Apply the packet filter of a stack
description:
  - Checks the rules, replaces the stack's table in one step, so that no packet sees half of it, and keeps the rules in
    a file that the host loads when it starts. Notes what the kernel made of them, so that
    M(broadcast.stack.stack_info) can tell when somebody has changed the table.
options:
  stack:
    description: Name of the stack.
    type: str
    required: true
  rules:
    description: Text for nft; empty removes the table and its files.
    type: str
    default: ""
attributes:
  check_mode:
    description: Tells whether the file or the table differs.
    support: full
author: The broadcast.stack authors
"""

EXAMPLES = r"""
- name: Apply the packet filter
  broadcast.stack.stack_firewall:
    stack: shop
    rules: "{{ rules }}"
"""

RETURN = r"""
live:
  description: Digest of the table as the kernel has it.
  returned: success
  type: str
"""

import os
import tempfile

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.broadcast.stack.plugins.module_utils import firewall


def text_of(path):
    try:
        with open(path, encoding="utf-8") as stream:
            return stream.read()
    except OSError:
        return ""


def write(path, text):
    """Replaces a file in one step; nobody ever loads half of it."""
    folder = os.path.dirname(path)
    os.makedirs(folder, mode=0o755, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=folder, prefix=".")
    with os.fdopen(handle, "w", encoding="utf-8") as stream:
        stream.write(text)
        stream.flush()
        os.fsync(stream.fileno())
    os.replace(temporary, path)


def applied(stack, rules, directory=firewall.DIRECTORY):
    """Whether the rules are in the file, and the table is what was made of them."""
    paths = firewall.paths(stack, directory)
    if not rules:
        return not os.path.exists(paths["rules"]) and not firewall.live(stack)
    return text_of(paths["rules"]) == rules and text_of(paths["applied"]) == (firewall.live(stack) or "none")


def apply(stack, rules, directory=firewall.DIRECTORY):
    """Applies the rules; returns an error or nothing. The file comes after its check and before the kernel's table."""
    paths = firewall.paths(stack, directory)
    if not rules:
        firewall.nft("delete", "table", "inet", firewall.table_name(stack))
        for path in paths.values():
            if os.path.exists(path):
                os.unlink(path)
        return ""
    for arguments in (["--check"], []):
        done = firewall.nft(*arguments, "--file", "-", stdin=rules)
        if done.returncode:
            return done.stderr
        if arguments:
            write(paths["rules"], rules)
    write(paths["applied"], firewall.live(stack))
    return ""


def main():
    module = AnsibleModule(
        argument_spec={"stack": {"type": "str", "required": True}, "rules": {"type": "str", "default": ""}},
        supports_check_mode=True,
    )
    stack, rules = module.params["stack"], module.params["rules"]
    changed = not applied(stack, rules)
    if changed and not module.check_mode:
        error = apply(stack, rules)
        if error:
            module.fail_json(msg="nft refused the rules of %s: %s" % (stack, error))
    module.exit_json(changed=changed, live=firewall.live(stack))


if __name__ == "__main__":
    main()
