# MIT License (see LICENSE)
"""Copies a build context with modes that a checkout does not decide; documented in plugins/modules/image_context.py."""

from __future__ import annotations

import pathlib
import shutil
import tempfile

from ansible import constants
from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible_collections.broadcast.stack.plugins.plugin_utils.images.context import CatalogError, Hasher, copy_context

PREFIX = "context-"


def add_settings(folder, files):
    """Copies that only their owner may read."""
    folder.mkdir(mode=0o700, exist_ok=True)
    folder.chmod(0o700)
    for name, source in files.items():
        shutil.copyfile(pathlib.Path(source).expanduser(), folder / name)
        (folder / name).chmod(0o600)


class ActionModule(ActionBase):
    """Works on the controller alone; executes no module."""

    _requires_connection = False
    _supports_check_mode = True
    _VALID_ARGS = frozenset({"context", "programs", "settings", "copy", "state"})

    def run(self, tmp=None, task_vars=None):
        super().run(tmp, task_vars)
        _result, arguments = self.validate_argument_spec(
            argument_spec={
                "context": {"type": "path"},
                "programs": {"type": "list", "elements": "str"},
                "settings": {"type": "dict"},
                "copy": {"type": "path"},
                "state": {"type": "str", "choices": ["present", "hashed", "absent"], "default": "present"},
            },
            required_if=[
                ("state", "present", ["context"]),
                ("state", "hashed", ["copy"]),
                ("state", "absent", ["copy"]),
            ],
        )
        if arguments["state"] == "hashed":
            return {"changed": False, "hash": Hasher().context(arguments["copy"])}
        if arguments["state"] == "absent":
            return self.removed(pathlib.Path(arguments["copy"]))
        # Ansible removes the folder at the end of the run, even of one that fails.
        path = tempfile.mkdtemp(prefix=PREFIX, dir=constants.DEFAULT_LOCAL_TMP)
        try:
            copy_context(arguments["context"], path, arguments["programs"])
            if arguments["settings"] is not None:
                add_settings(pathlib.Path(path, "settings"), arguments["settings"])
        except (CatalogError, OSError) as error:
            raise AnsibleActionFail(str(error)) from error
        return {"changed": False, "path": path}

    @staticmethod
    def removed(path):
        # Nothing but what this action has made.
        if path.parent != pathlib.Path(constants.DEFAULT_LOCAL_TMP) or not path.name.startswith(PREFIX):
            raise AnsibleActionFail("copy: %s is no copy of a context" % path)
        shutil.rmtree(path, ignore_errors=True)
        return {"changed": False}
