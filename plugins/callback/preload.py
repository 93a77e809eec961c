# MIT License (see LICENSE)
"""Loads the collection's plugins once, in the process that every task is forked from."""

from __future__ import annotations

DOCUMENTATION = r"""
name: preload
type: aggregate
short_description: Load plugins once instead of once per task and host
description:
  - Ansible runs each task on each host in a process of its own, forked from the main one. To find a filter or
    a test of a collection such a process imports all of that collection with all that they need, and ends.
  - With this callback the main process imports them before the first fork, and every fork has them.
  - What is loaded by then stays, so the garbage collector of the main process and of the forks need not look at it.
  - Changes nothing but the time that a run takes.
requirements:
  - Enable it with C(callbacks_enabled) in ansible.cfg.
"""

import contextlib
import gc
import pkgutil
from importlib import import_module

from ansible.plugins.callback import CallbackBase
from ansible.plugins.loader import (
    action_loader,
    connection_loader,
    filter_loader,
    lookup_loader,
    shell_loader,
    test_loader,
)

COLLECTION = "broadcast.stack"
# Modules that nearly every task needs. Without this each fork would load them anew.
COMMON = ((action_loader, "normal"), (connection_loader, "local"), (connection_loader, "ssh"), (shell_loader, "sh"))


class CallbackModule(CallbackBase):
    """Loads, and listens to nothing."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "aggregate"
    CALLBACK_NAME = "broadcast.stack.preload"
    CALLBACK_NEEDS_ENABLED = True

    def __init__(self):
        super().__init__()
        for loader, name in COMMON:
            loader.get(name, class_only=True)
        for loader, kind in ((lookup_loader, "lookup"), (filter_loader, "filter"), (test_loader, "test")):
            package = import_module(f"ansible_collections.{COLLECTION}.plugins.{kind}")
            for module in pkgutil.iter_modules(package.__path__):
                # A file need not have the name of one of its filters or tests. A name that no file has loads them all.
                with contextlib.suppress(KeyError):
                    loader.get(f"{COLLECTION}.{module.name}", class_only=True)
        gc.collect()
        gc.freeze()
