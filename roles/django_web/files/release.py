"""Run the commands of a release in order, as release.json beside this file describes them.

{"commands": [{"name", "command", "working_dir", "timeout", "env", "once"}], "static": {"source", "target"} or null,
 "gate": {"lock_seconds", "lock_timeout_ms", "maintenance_window", "restore_point"} or missing}

With a gate, migrations.py beside this file first says which migrations are pending. Those that the running release
would not survive end the release; others run alone on their database, after a restore point, and never wait long for a
lock that the application holds. The last line then is RELEASE-RESULT and what became of them, as JSON.

A command that fails or takes too long ends the release. One that runs once leaves a note in /srv/releases, a volume
that lives as long as the data. Static files are published at last: added and replaced, never deleted, since pages of
earlier images are still open.
"""

from __future__ import annotations

import contextlib
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
GATE = {"lock_seconds": 60, "lock_timeout_ms": 5000, "maintenance_window": False, "restore_point": ""}
MIGRATIONS = Path(__file__).with_name("migrations.py")
INSPECT_SECONDS = 300
RESULT = "RELEASE-RESULT "


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


def ask_environment() -> dict:
    """For migrations.py: a database that does not answer is told soon."""
    return {"PGCONNECT_TIMEOUT": "10", **os.environ}


def answer(line: str) -> dict:
    """One answer of migrations.py; notes are printed."""
    try:
        found = json.loads(line)
    except ValueError:
        raise ReleaseError("migrations: no answer from Django") from None
    if "error" in found:
        raise ReleaseError(f"migrations: {found['error']}")
    if "note" in found:
        say(f"migrations: {found['note']}")
    return found


def inspect() -> dict:
    """What migrations.py says about the project: {"django", "pending", "heads"}."""
    try:
        process = subprocess.run(
            [sys.executable, str(MIGRATIONS), "inspect"],
            stdout=subprocess.PIPE,
            env=ask_environment(),
            timeout=INSPECT_SECONDS,
            text=True,
        )
    except subprocess.TimeoutExpired:
        raise ReleaseError(f"migrations: Django did not list them within {INSPECT_SECONDS} seconds") from None
    return answer(process.stdout)


def label(migration: dict) -> str:
    return f"{migration['app']}.{migration['name']}"


def list_pending(pending: list[dict]) -> None:
    say(f"migrations: {len(pending)} pending" if pending else "migrations: none pending")
    for migration in pending:
        remarks = [f"breaks the running release: {reason}" for reason in migration["breaking"]]
        remarks += [f"{reason} (not analysed)" for reason in migration["unknown"]]
        if migration["safe"]:
            remarks.append(f"declared safe: {migration['safe']}")
            remarks += [f"{reason} (declared safe)" for reason in migration["declared"]]
        say("\n".join([f"  {label(migration)}", *(f"    {remark}" for remark in remarks)]))


def refuse(pending: list[dict], maintenance_window: bool) -> None:
    """Ends the release when the one that runs would not survive a migration, unless nothing has to run meanwhile."""
    found = [f"{label(migration)} {reason}" for migration in pending for reason in migration["breaking"]]
    if not found:
        return
    if maintenance_window:
        say("migrations: a maintenance window was asked for, so these are applied although they break what runs")
        return
    raise ReleaseError(
        "migrations: refused, since the release that runs would fail: "
        + "; ".join(found)
        + ". Deploy in two steps: first a release that works with and without the change, then this migration, with "
        'release_safe = "why" in its class. Or ask for a maintenance window: -e release_maintenance_window=true.'
    )


class Lock:
    """The lock of releases, which a process with a connection of its own holds as long as this one lives."""

    def __init__(self, seconds: float) -> None:
        self.process = subprocess.Popen(
            [sys.executable, str(MIGRATIONS), "hold", str(seconds)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=ask_environment(),
            text=True,
        )
        self.held = False

    def ask(self, key: str):
        """The next answer that has the key."""
        while True:
            found = answer(self.process.stdout.readline())
            if key in found:
                return found[key]

    def __enter__(self) -> Lock:
        try:
            self.held = self.ask("held")
        except ReleaseError:
            self.process.kill()
            self.process.wait()
            raise
        return self

    def restore_point(self, name: str) -> str:
        """Creates one; the empty string when the database does not let us."""
        if not self.held or not name:
            return ""
        self.process.stdin.write(name + "\n")
        self.process.stdin.flush()
        return self.ask("restore_point")

    def __exit__(self, *_error: object) -> None:
        self.process.stdin.close()
        try:
            self.process.wait(KILL_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def run_all(commands: list[dict], lock_timeout_ms: int = 0) -> None:
    """lock_timeout_ms: after so long a statement gives up a lock it waits for, since all others queue behind it."""
    for command in commands:
        environment = command["env"]
        if lock_timeout_ms and "PGOPTIONS" not in {**os.environ, **environment}:
            environment = {**environment, "PGOPTIONS": f"-c lock_timeout={lock_timeout_ms}"}
        run({**command, "env": environment})


def outcome(before: list[dict], restore_point: str) -> dict:
    """What is not pending any more was applied."""
    after = inspect()
    pending = {label(migration) for migration in after["pending"]}
    keys = ("app", "name", "breaking", "declared")
    applied = [{key: one[key] for key in keys} for one in before if label(one) not in pending]
    return {"applied": applied, "heads": after["heads"], "restore_point": restore_point}


def run_locked(commands: list[dict], gate: dict, result: dict) -> None:
    """Runs commands that find something to apply."""
    with Lock(gate["lock_seconds"]) as lock:
        # Whoever held the lock may have applied them.
        pending = inspect()["pending"]
        restore_point = lock.restore_point(gate["restore_point"]) if pending else ""
        if restore_point:
            say(f"migrations: restore point {restore_point}")
        try:
            run_all(commands, int(gate["lock_timeout_ms"]))
        except ReleaseError:
            # Some may have been applied before the one that failed; why it failed matters more than an answer.
            with contextlib.suppress(ReleaseError):
                result.update(outcome(pending, restore_point))
            raise
        result.update(outcome(pending, restore_point))


def run_gated(commands: list[dict], gate: dict, result: dict) -> None:
    found = inspect()
    if not found["django"]:
        say("migrations: not looked at, the image has no Django or DJANGO_SETTINGS_MODULE is not set")
        run_all(commands)
        return
    list_pending(found["pending"])
    refuse(found["pending"], gate["maintenance_window"])
    if found["pending"]:
        run_locked(commands, gate, result)
    else:
        run_all(commands)
        result.update(applied=[], heads=found["heads"], restore_point="")


def main(path: str) -> int:
    release = json.loads(Path(path).read_text())
    result: dict = {}
    code = 0
    try:
        if release.get("gate"):
            run_gated(release["commands"], {**GATE, **release["gate"]}, result)
        else:
            run_all(release["commands"])
        if release["static"]:
            publish_static(**release["static"])
    except (ReleaseError, OSError) as error:
        say(str(error))
        code = 1
    if result:
        say(RESULT + json.dumps(result))
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
