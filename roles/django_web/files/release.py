"""Run the commands of a release in order, as release.json beside this file describes them.

{"commands": [{"name", "command", "working_dir", "timeout", "env", "once"}], "static": {"source", "target"} or null}

A command that fails or takes too long ends the release. One that runs once leaves a note in /srv/releases, a volume
that lives as long as the data. Static files are published at last: added and replaced, never deleted, since pages of
earlier images are still open.
"""

from __future__ import annotations

import filecmp
import glob
import hashlib
import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

NOTES = Path("/srv/releases")
# What a command that took too long has left to end by itself.
KILL_SECONDS = 10


class ReleaseError(Exception):
    """Why the release ends here."""


def say(text: str) -> None:
    print(text, flush=True)


def note(command: dict) -> Path:
    """The note that a command which runs once has succeeded."""
    key = command.get("name") or shlex.join(command["command"])
    return NOTES / hashlib.sha256(key.encode()).hexdigest()


def run(command: dict) -> None:
    text = shlex.join(command["command"])
    if command["once"] and note(command).exists():
        say(f"- {text} (ran once, at {note(command).read_text().strip()})")
        return
    say(f"+ {text}")
    environment = {**os.environ, **command["env"]}
    # A session of its own, so that what the command started ends with it.
    try:
        process = subprocess.Popen(
            command["command"], cwd=command["working_dir"], env=environment, start_new_session=True
        )
    except OSError as error:
        raise ReleaseError(f"{text}: {error.strerror or error} (in {command['working_dir']})") from error
    try:
        code = process.wait(command["timeout"])
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(KILL_SECONDS)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        raise ReleaseError(f"{text}: not done after {command['timeout']} seconds (timeout)") from None
    if code:
        raise ReleaseError(f"{text}: exit code {code}")
    if command["once"]:
        note(command).write_text(time.strftime("%Y-%m-%d %H:%M:%S UTC\n", time.gmtime()))


def publish(source: Path, target: Path) -> int:
    """Copy what is new or different; each file appears whole at once. Returns the number of copied files."""
    copied = 0
    for path in sorted(source.rglob("*")):
        published = target / path.relative_to(source)
        if path.is_dir() or (published.is_file() and filecmp.cmp(path, published, shallow=False)):
            continue
        published.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=published.parent, prefix=".publishing-")
        os.close(handle)
        shutil.copyfile(path, temporary)
        shutil.copystat(path, temporary)
        # mkstemp made it private, nginx is another user.
        os.chmod(temporary, 0o644)
        os.replace(temporary, published)
        copied += 1
    return copied


def publish_static(source: str, target: str) -> None:
    folders = [Path(path) for path in sorted(glob.glob(source)) if Path(path).is_dir()]
    if len(folders) != 1:
        found = f"{len(folders)} folders match" if folders else "the image has no such folder"
        raise ReleaseError(f"static files: {found}: {source} (django_web_static_root)")
    say(f"{publish(folders[0], Path(target))} static files published to {target}")


def main(path: str) -> int:
    release = json.loads(Path(path).read_text())
    try:
        for command in release["commands"]:
            run(command)
        if release["static"]:
            publish_static(**release["static"])
    except (ReleaseError, OSError) as error:
        say(str(error))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
