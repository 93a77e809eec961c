# MIT License (see LICENSE)
"""What the controller's Engine has; documented in plugins/modules/image_builder.py."""

from __future__ import annotations

import http.client
import os

from ansible.plugins.action import ActionBase
from ansible_collections.broadcast.stack.plugins.module_utils.engine import DEFAULT_HOST, Engine, EngineError
from ansible_collections.broadcast.stack.plugins.module_utils.image_references import images_of


class ActionModule(ActionBase):
    """Asks the Engine from the controller's own process; executes no module."""

    _requires_connection = False
    _supports_check_mode = True
    _VALID_ARGS = frozenset()

    def run(self, tmp=None, task_vars=None):
        super().run(tmp, task_vars)
        found = {"changed": False, "images": {}, "error": "", "uid": os.geteuid()}
        try:
            found["images"] = images_of(Engine(os.environ.get("DOCKER_HOST") or DEFAULT_HOST))
        # What builds says so by itself.
        except (EngineError, OSError, http.client.HTTPException) as error:
            found["error"] = str(error)
        return found
