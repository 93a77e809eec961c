# MIT License (see LICENSE)
"""Fetches images from a host; documented in plugins/modules/image_fetch.py."""

from __future__ import annotations

import base64
import binascii
import shlex
import subprocess
import typing as t

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase

# Bytes that a connection returns at once. They are held in memory.
PIECE = 32 * 2**20
# The archive of an image is the same each time, and a command cannot go on where another one ended.
READ = "docker save {references} 2> /dev/null | tail -c +{first} | head -c {size} | base64 --wrap 0"


class ActionModule(ActionBase):
    """Pipes what `docker save` on the host writes into `docker load` on the controller; executes no module."""

    _supports_check_mode = True
    _VALID_ARGS = frozenset({"references"})

    def run(self, tmp: str | None = None, task_vars: dict[str, t.Any] | None = None) -> dict[str, t.Any]:
        super().run(tmp, task_vars)
        _result, arguments = self.validate_argument_spec(
            argument_spec={"references": {"type": "list", "elements": "str", "required": True}}
        )
        references = sorted(arguments["references"])
        if not self._task.check_mode:
            try:
                self.fetch(references)
            except (OSError, binascii.Error, subprocess.SubprocessError) as error:
                raise AnsibleActionFail("%s could not be fetched: %s" % (", ".join(references), error)) from error
        return {"changed": True, "fetched": references}

    def fetch(self, references: list[str]) -> None:
        quoted = " ".join(map(shlex.quote, references))
        there = self.on_host("docker image inspect --format found %s" % quoted)
        if there["rc"]:
            raise OSError(" ".join(there["stderr"].split()))
        with subprocess.Popen(
            ["docker", "load", "--quiet"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        ) as load:
            first = 1
            try:
                while piece := self.piece(quoted, first):
                    load.stdin.write(piece)
                    first += len(piece)
                    if len(piece) < PIECE:
                        break
            except BaseException:
                load.kill()
                raise
            output, _nothing = load.communicate()
        if load.returncode:
            raise OSError(" ".join(output.decode(errors="replace").split()))

    def piece(self, quoted: str, first: int) -> bytes:
        done = self.on_host(READ.format(references=quoted, first=first, size=PIECE))
        if done["rc"]:
            raise OSError(" ".join(done["stderr"].split()))
        return base64.b64decode(done["stdout"].strip(), validate=True)

    def on_host(self, script: str) -> dict[str, t.Any]:
        # A command with input gets no terminal. A terminal would wrap the output.
        return self._low_level_execute_command("sh -c %s" % shlex.quote(script), in_data=b"\n")
