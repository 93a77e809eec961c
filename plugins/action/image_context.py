# MIT License (see LICENSE)
"""Copies a build context with modes that a checkout does not decide; documented in plugins/modules/image_context.py."""

from __future__ import annotations

import tempfile

from ansible import constants
from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible_collections.broadcast.stack.plugins.plugin_utils.images.context import CatalogError, copy_context


class ActionModule(ActionBase):
    """Works on the controller alone; executes no module."""

    _requires_connection = False
    _supports_check_mode = True
    _VALID_ARGS = frozenset({"context", "programs"})

    def run(self, tmp=None, task_vars=None):
        super().run(tmp, task_vars)
        _result, arguments = self.validate_argument_spec(
            argument_spec={
                "context": {"type": "path", "required": True},
                "programs": {"type": "list", "elements": "str"},
            }
        )
        # Ansible removes the folder at the end of the run, even of one that fails.
        path = tempfile.mkdtemp(prefix="context-", dir=constants.DEFAULT_LOCAL_TMP)
        try:
            copy_context(arguments["context"], path, arguments["programs"])
        except (CatalogError, OSError) as error:
            raise AnsibleActionFail(str(error)) from error
        return {"changed": False, "path": path}
