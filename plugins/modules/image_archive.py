#!/usr/bin/python
# MIT License (see LICENSE)
"""Packs images into an archive for docker load, without the layers that the receiving host has."""

from __future__ import annotations

DOCUMENTATION = r"""
module: image_archive
short_description: Pack images for a host, without the layers it has
description:
  - Writes an archive as C(docker save) does and leaves out the layers that the receiving Engine has in the same place
    of another image, so that one changed layer costs the transfer of that layer.
  - C(docker load) finds a layer by the chain of its parents before it opens the file, hence does not miss it.
  - Not for an Engine with a containerd image store, which reads every file; give an empty O(present) for it.
options:
  references:
    description: Images to pack.
    type: list
    elements: str
    required: true
  present:
    description: For every image of the receiving host the list of its layers' diff ids.
    type: list
    elements: list
    default: []
  path:
    description: Archive to write; its folder also holds a temporary file.
    type: path
    required: true
requirements:
  - the docker command
attributes:
  check_mode:
    description: Writes nothing.
    support: full
author: The broadcast.stack authors
"""

EXAMPLES = r"""
- name: Pack the layers that the host lacks
  broadcast.stack.image_archive:
    references: [shop/django:5f2c7d1e9a40]
    present: "{{ container_observation.images.values() | selectattr('layers', 'defined') | map(attribute='layers') }}"
    path: /tmp/images.tar
  delegate_to: localhost
"""

RETURN = r"""
packed:
  description: Layers in the archive.
  returned: always
  type: int
left_out:
  description: Layers that the host has.
  returned: always
  type: int
size:
  description: Bytes of the archive.
  returned: always
  type: int
"""

import hashlib
import json
import os
import posixpath
import subprocess
import tarfile

from ansible.module_utils.basic import AnsibleModule


class ArchiveError(Exception):
    """The images could not be packed."""


def chain_ids(diff_ids):
    """One name for each layer together with all layers below it, as the Engine computes it."""
    chain = ""
    for diff_id in diff_ids:
        chain = "sha256:" + hashlib.sha256((chain + " " + diff_id).encode()).hexdigest() if chain else diff_id
        yield chain


def resolve(archive, name):
    """The member that holds the content: a layer used twice is a link the second time."""
    member = archive.getmember(name)
    while member.issym() or member.islnk():
        folder = posixpath.dirname(member.name) if member.issym() else ""
        member = archive.getmember(posixpath.normpath(posixpath.join(folder, member.linkname)))
    return member.name


def superfluous(archive, present):
    """Names of the layer files that no image in the archive needs on a host that has the given images."""
    known = {chain for diff_ids in present for chain in chain_ids(diff_ids)}
    needed, files = set(), {}
    for image in json.load(archive.extractfile("manifest.json")):
        diff_ids = json.load(archive.extractfile(image["Config"]))["rootfs"]["diff_ids"]
        for position, chain in enumerate(chain_ids(diff_ids)):
            name = image["Layers"][position]
            content = resolve(archive, name)
            files[name] = files[content] = content
            if chain not in known:
                needed.add(content)
    return {name for name, content in files.items() if content not in needed}, len(needed)


def pack(saved, path, present):
    """Copies the saved archive without the superfluous layers."""
    with tarfile.open(saved) as source, tarfile.open(path, "w") as target:
        skipped, packed = superfluous(source, present)
        left_out = {resolve(source, name) for name in skipped}
        for member in source:
            if member.name not in skipped:
                target.addfile(member, source.extractfile(member) if member.isreg() else None)
    return {"packed": packed, "left_out": len(left_out), "size": os.path.getsize(path)}


def save(references, path):
    try:
        done = subprocess.run(
            ["docker", "save", "--output", path, *references], stderr=subprocess.PIPE, text=True, check=False
        )
    except OSError as error:
        raise ArchiveError("The docker command cannot be run: %s" % error) from error
    if done.returncode:
        raise ArchiveError("docker save failed: %s" % done.stderr.strip())


def main():
    module = AnsibleModule(
        argument_spec={
            "references": {"type": "list", "elements": "str", "required": True},
            "present": {"type": "list", "elements": "list", "default": []},
            "path": {"type": "path", "required": True},
        },
        supports_check_mode=True,
    )
    path, saved = module.params["path"], module.params["path"] + ".saved"
    if module.check_mode:
        module.exit_json(changed=True, packed=0, left_out=0, size=0)
    try:
        save(module.params["references"], saved)
        result = pack(saved, path, module.params["present"])
    except (ArchiveError, OSError, tarfile.TarError) as error:
        module.fail_json(msg=str(error))
    finally:
        if os.path.exists(saved):
            os.unlink(saved)
    module.exit_json(changed=True, **result)


if __name__ == "__main__":
    main()
