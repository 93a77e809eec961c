# MIT License (see LICENSE)
"""Documentation of the action plugin of the same name."""

from __future__ import annotations

DOCUMENTATION = r"""
module: image_delivery
short_description: Carry images to a host, without the layers it has
description:
  - Streams what C(docker save) on the controller writes through Ansible's connection into C(docker load) on the host.
    Neither keeps an archive on its disk.
  - Layers that the receiving Engine has in the same place of another image are left out, so that one changed layer
    costs the transfer of that layer. C(docker load) finds a layer by the chain of its parents before it opens the
    file, hence does not miss it.
  - An Engine with a containerd image store reads every file; give an empty O(present) for it.
options:
  references:
    description: Images to carry.
    type: list
    elements: str
    required: true
  present:
    description: For every image of the receiving host the list of its layers' diff ids.
    type: list
    elements: list
    default: []
requirements:
  - the docker command, on the controller and on the host
attributes:
  check_mode:
    description: Carries nothing.
    support: full
author: The broadcast.stack authors
"""

EXAMPLES = r"""
- name: Carry the layers that the host lacks
  broadcast.stack.image_delivery:
    references: [shop/django:5f2c7d1e9a40]
    present: "{{ container_observation.images.values() | selectattr('layers', 'defined') | map(attribute='layers') }}"
"""

RETURN = r"""
packed:
  description: Layers that were carried.
  returned: always
  type: int
left_out:
  description: Layers that the host has.
  returned: always
  type: int
size:
  description: Bytes that were carried.
  returned: always
  type: int
"""
