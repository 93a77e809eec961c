# MIT License (see LICENSE)
"""Documentation of the action plugin of the same name."""

from __future__ import annotations

DOCUMENTATION = r"""
module: image_fetch
short_description: Fetch images from a host to the controller
description:
  - Pipes what C(docker save) on the host writes through the connection into C(docker load) on the controller, where
    the references then name the host's images. Neither keeps an archive on its disk.
options:
  references:
    description: Images to fetch.
    type: list
    elements: str
    required: true
requirements:
  - the docker command, on the controller and on the host
attributes:
  check_mode:
    description: Fetches nothing.
    support: full
author: The broadcast.stack authors
"""

EXAMPLES = r"""
- name: Fetch the image that the other hosts have
  broadcast.stack.image_fetch:
    references: [shop/django:5f2c7d1e9a40]
  delegate_to: web1
"""

RETURN = r"""
fetched:
  description: The references.
  returned: always
  type: list
  elements: str
"""
