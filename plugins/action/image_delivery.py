# MIT License (see LICENSE)
"""Carries images to a host through Ansible's connection; documented in plugins/modules/image_delivery.py."""

from __future__ import annotations

import pathlib
import re
import shlex
import tarfile
import typing as t

from ansible import constants
from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible_collections.broadcast.stack.plugins.plugin_utils.images import archive as image_archive

# Bytes that a connection takes at once. They are held in memory.
PIECE = 16 * 2**20
# Seconds after which a receiver that hears nothing ends, and a piece that nobody takes is given up.
RECEIVER_SECONDS, PIECE_SECONDS = 7200, 600

# `docker load` reads from a pipe that a sleeping process keeps open from one piece to the next.
START = """
umask 077; folder=$(mktemp -d) && cd "$folder" && mkfifo pipe || exit 1
setsid sh -c 'docker load < pipe > answer 2>&1; echo $? > code' < /dev/null > /dev/null 2>&1 &
setsid sleep {seconds} > pipe 2> /dev/null < /dev/null & echo $! > keeper
echo "folder=$folder"
"""
SEND = """
cd {folder} && [ ! -e code ] && exec timeout {seconds} sh -c 'exec cat > pipe'
"""
END = """
cd {folder} || exit 1
kill "$(cat keeper)"
while [ ! -e code ]; do sleep 0.1; done
cat answer; code=$(cat code); cd /; rm -rf {folder}; exit "$code"
"""


class ActionModule(ActionBase):
    """Streams an archive into `docker load` on the host; executes no module."""

    _supports_check_mode = True
    _VALID_ARGS = frozenset({"references", "present"})

    def run(self, tmp: str | None = None, task_vars: dict[str, t.Any] | None = None) -> dict[str, t.Any]:
        super().run(tmp, task_vars)
        _result, arguments = self.validate_argument_spec(
            argument_spec={
                "references": {"type": "list", "elements": "str", "required": True},
                "present": {"type": "list", "elements": "list", "default": []},
            }
        )
        if self._task.check_mode:
            return {"changed": True, "packed": 0, "left_out": 0, "size": 0}
        references = sorted(arguments["references"])
        try:
            index = image_archive.index_of(references, pathlib.Path(constants.DEFAULT_LOCAL_TMP))
            skipped, packed, left_out = index.superfluous(arguments["present"])
            size = self.deliver(references, skipped)
        except (image_archive.ArchiveError, OSError, tarfile.TarError) as error:
            raise AnsibleActionFail("%s: %s" % (", ".join(references), error)) from error
        return {"changed": True, "packed": packed, "left_out": left_out, "size": size}

    def deliver(self, references: list[str], skipped: t.Collection[str]) -> int:
        """Send the archive without these files, and wait for its end; the bytes that were sent."""
        started = self.on_host(START.format(seconds=RECEIVER_SECONDS))
        if not (found := re.search(r"^folder=(/\S+)\s*$", started["stdout"], re.M)):
            raise image_archive.ArchiveError("the host could not begin to load: %s" % self.told(started))
        folder = shlex.quote(found[1])

        def send(piece: bytes) -> None:
            done = self.on_host(SEND.format(folder=folder, seconds=PIECE_SECONDS), piece)
            if done["rc"]:
                # The last words of the process are the reason.
                raise BrokenPipeError(self.told(done) or "the host took no more of it")

        pieces, broken = image_archive.Pieces(send, PIECE), None
        try:
            with image_archive.saved(references) as stream:
                image_archive.copy_without(stream, t.cast(t.BinaryIO, pieces), skipped)
            pieces.flush()
        except (image_archive.ArchiveError, OSError, tarfile.TarError) as error:
            broken = error
        ended = self.on_host(END.format(folder=folder))
        if ended["rc"] or broken:
            reasons = [str(broken) if broken else "", self.told(ended) if ended["rc"] else ""]
            raise image_archive.ArchiveError("could not be loaded: %s" % "; ".join(filter(None, reasons)))
        return pieces.total

    def on_host(self, script: str, piece: bytes | None = None) -> dict[str, t.Any]:
        """Run a script on the host as the user that the task becomes."""
        # A command with input gets no terminal. A terminal would change the input, or end what goes on in the
        # background.
        return self._low_level_execute_command("sh -c %s" % shlex.quote(script.strip()), in_data=piece or b"\n")

    @staticmethod
    def told(done: dict[str, t.Any]) -> str:
        return " ".join((done.get("stdout", "") + " " + done.get("stderr", "")).split())[-500:]
