#!/usr/bin/python
# MIT License (see LICENSE)
"""Write all rendered files of some containers in one module execution."""

from __future__ import annotations

DOCUMENTATION = r"""
module: rendered_directories
short_description: Own the content of directories
description:
  - Writes sets of files below directories in one call, each atomically, with owner and mode, and removes files that
    are not in the set. A loop over M(ansible.builtin.copy) costs two module executions a file instead.
options:
  directories:
    description: The directories and what is in them.
    type: list
    elements: dict
    required: true
    suboptions:
      path:
        description: The directory; created with its parents.
        type: path
        required: true
      files:
        description: Relative path to text content.
        type: dict
        required: true
      uid:
        description: Owner of the directory and its files.
        type: int
        required: true
      gid:
        description: Group of the directory and its files.
        type: int
        required: true
      directory_mode:
        description: Mode of the directory and of folders in it, octal.
        type: str
        default: "0755"
      mode:
        description: Mode of the files, octal.
        type: str
        default: "0644"
      access:
        description: Relative path to C(uid), C(gid) and C(mode) of files that differ from the others.
        type: dict
        default: {}
  secret:
    description: The contents are secret; nothing of them is returned, not even with C(--diff).
    type: bool
    default: false
attributes:
  check_mode:
    description: Says what it would do.
    support: full
  diff_mode:
    description: Shows the text of changed files, unless O(secret).
    support: full
author: The broadcast.stack authors
"""

EXAMPLES = r"""
- name: Write the configuration
  broadcast.stack.rendered_directories:
    directories:
      - path: /opt/shop/containers/shop-nginx/config
        files: {nginx.conf: "events {}\n"}
        uid: 10004
        gid: 10004
"""

RETURN = r"""
written:
  description: Paths whose content, owner or mode changed.
  returned: always
  type: list
  elements: str
removed:
  description: Files that were removed.
  returned: always
  type: list
  elements: str
"""

import os
import tempfile

from ansible.module_utils.basic import AnsibleModule


class Directory:
    """A directory whose whole content is known."""

    def __init__(self, path, uid, gid, directory_mode, mode, access):
        self.path, self.uid, self.gid = path, uid, gid
        self.directory_mode, self.mode = int(directory_mode, 8), mode
        self.access = {os.path.normpath(name): entry for name, entry in access.items()}

    def present(self):
        return sorted(
            os.path.relpath(os.path.join(folder, name), self.path)
            for folder, _dirs, names in os.walk(self.path)
            for name in names
        )

    def read(self, name):
        try:
            with open(os.path.join(self.path, name), encoding="utf-8", errors="replace") as stream:
                return stream.read()
        except OSError:
            return None

    def wished(self, name):
        """uid, gid and mode of a file."""
        entry = self.access.get(name, {})
        return entry.get("uid", self.uid), entry.get("gid", self.gid), int(entry.get("mode", self.mode), 8)

    def wished_folder(self):
        return self.uid, self.gid, self.directory_mode

    @staticmethod
    def owned(path, uid, gid, mode):
        try:
            status = os.lstat(path)
        except OSError:
            return False
        return (status.st_uid, status.st_gid, status.st_mode & 0o7777) == (uid, gid, mode)

    @staticmethod
    def own(path, uid, gid, mode):
        status = os.lstat(path)
        if (status.st_uid, status.st_gid) != (uid, gid):
            os.chown(path, uid, gid)
        os.chmod(path, mode)

    def folders(self, names):
        """The directory itself and every folder that the files need."""
        needed = {os.path.normpath(os.path.join(self.path, os.path.dirname(name))) for name in names}
        return sorted(needed | {self.path})

    def write(self, name, content):
        target = os.path.join(self.path, name)
        handle, temporary = tempfile.mkstemp(dir=os.path.dirname(target), prefix=".rendered-")
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as stream:
                stream.write(content)
            self.own(temporary, *self.wished(name))
            os.replace(temporary, target)
        except BaseException:
            os.unlink(temporary)
            raise


def converge(directory, files, check_mode):
    """Make the directory hold exactly files; returns (written, removed, before)."""
    before = {name: directory.read(name) for name in files}
    removed = [name for name in directory.present() if name not in files]
    written = [
        name
        for name, content in files.items()
        if before[name] != content or not directory.owned(os.path.join(directory.path, name), *directory.wished(name))
    ]
    folders = [path for path in directory.folders(files) if not directory.owned(path, *directory.wished_folder())]
    if check_mode:
        return written or folders, removed, before
    for path in folders:
        os.makedirs(path, exist_ok=True)
        # The directory is writable while it is filled. The wished mode may forbid writing to an owner who is not root.
        directory.own(path, directory.uid, directory.gid, directory.directory_mode | 0o300)
    if not folders and (written or removed):
        for path in directory.folders(files):
            os.chmod(path, directory.directory_mode | 0o300)
    for name in written:
        directory.write(name, files[name])
    for name in removed:
        os.unlink(os.path.join(directory.path, name))
    for path in directory.folders(files):
        os.chmod(path, directory.directory_mode)
    return written or folders, removed, before


def inside(path, files):
    """files with normalised names; raises ValueError for names that leave the directory."""
    normalised = {os.path.normpath(name): content for name, content in files.items()}
    escaping = [name for name in normalised if name.startswith(("..", "/"))]
    if escaping:
        raise ValueError("File names must stay inside %s: %s" % (path, ", ".join(escaping)))
    return normalised


def main():
    module = AnsibleModule(
        argument_spec={
            "directories": {
                "type": "list",
                "elements": "dict",
                "required": True,
                "options": {
                    "path": {"type": "path", "required": True},
                    "files": {"type": "dict", "required": True},
                    "uid": {"type": "int", "required": True},
                    "gid": {"type": "int", "required": True},
                    "directory_mode": {"type": "str", "default": "0755"},
                    "mode": {"type": "str", "default": "0644"},
                    "access": {"type": "dict", "default": {}},
                },
            },
            # The values are censored by the task's no_log; the flag only steers the diff.
            "secret": {"type": "bool", "default": False, "no_log": False},
        },
        supports_check_mode=True,
    )
    wished = module.params["directories"]
    result = {"written": [], "removed": [], "diff": []}
    try:
        contents = [inside(entry["path"], entry["files"]) for entry in wished]
    except ValueError as error:
        module.fail_json(msg=str(error))
    for entry, files in zip(wished, contents):  # noqa: B905 (strict= is newer than the Pythons of supported hosts)
        directory = Directory(*(entry[key] for key in ("path", "uid", "gid", "directory_mode", "mode", "access")))
        try:
            written, removed, before = converge(directory, files, module.check_mode)
        except PermissionError as error:
            module.fail_json(
                msg="%s. Files must belong to %s:%s, the user of the container; run as root (become) or set "
                "container_user to your own uid:gid." % (error, entry["uid"], entry["gid"])
            )
        for kind, names in (("written", written), ("removed", removed)):
            result[kind] += [os.path.join(directory.path, name) for name in names]
        result["diff"] += [
            {
                "before_header": os.path.join(directory.path, name),
                "after_header": os.path.join(directory.path, name),
                "before": before.get(name) or "",
                "after": files.get(name, ""),
            }
            for name in [name for name in written if name in files] + removed
        ]
    if module.params["secret"]:
        del result["diff"]
    module.exit_json(changed=bool(result["written"] or result["removed"]), **result)


if __name__ == "__main__":
    main()
