# MIT License (see LICENSE)
"""Documentation of the action plugin of the same name."""

from __future__ import annotations

DOCUMENTATION = r"""
module: image_builder
short_description: List the images of the controller
description:
  - Lists what the Docker Engine of the controller has, E(DOCKER_HOST) when that is set. It is asked directly, which
    costs no module execution.
attributes:
  check_mode:
    description: Changes nothing.
    support: full
author: The broadcast.stack authors
"""

EXAMPLES = r"""
- name: List the images of the controller
  broadcast.stack.image_builder:
  register: builder
"""

RETURN = r"""
images:
  description: Image reference, as M(broadcast.stack.stack_info) writes it, to its id and size.
  returned: always
  type: dict
error:
  description: Why the Engine could not be asked; it then has no images.
  returned: always
  type: str
uid:
  description: Who works on the controller.
  returned: always
  type: int
"""
