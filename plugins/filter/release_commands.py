# MIT License (see LICENSE)
"""The commands of a release in full, whichever of their two spellings they were given in."""

from __future__ import annotations

from ansible.errors import AnsibleFilterError

KEYS = {"command", "name", "working_dir", "timeout", "env", "once"}
TIMEOUT_SECONDS = 3600


def release_commands(commands: list, working_dir: str) -> list[dict]:
    """
    Each command with all keys: name, command (list), working_dir, timeout (seconds), env, once (bool).

    commands: lists of arguments, or dictionaries with command and any of the other keys.
    """
    found = []
    for number, entry in enumerate(commands, 1):
        wished = entry if isinstance(entry, dict) else {"command": entry}
        unknown = set(wished) - KEYS
        if unknown:
            raise AnsibleFilterError(
                "django_web_release_commands %d: unknown %s; known keys are %s"
                % (number, ", ".join(sorted(unknown)), ", ".join(sorted(KEYS)))
            )
        command = wished.get("command")
        if not isinstance(command, list) or not command:
            raise AnsibleFilterError(
                "django_web_release_commands %d: each command is a list of arguments such as "
                "[python, manage.py, migrate], not %r" % (number, command)
            )
        timeout = wished.get("timeout", TIMEOUT_SECONDS)
        if not str(timeout).isdigit() or int(timeout) < 1:
            raise AnsibleFilterError(
                "django_web_release_commands %d: timeout must be seconds, 1 or more, not %r" % (number, timeout)
            )
        found.append(
            {
                "name": str(wished.get("name") or ""),
                "command": [str(argument) for argument in command],
                "working_dir": str(wished.get("working_dir") or working_dir),
                "timeout": int(timeout),
                "env": {str(key): str(value) for key, value in (wished.get("env") or {}).items()},
                "once": bool(wished.get("once", False)),
            }
        )
    return found


class FilterModule:
    """The commands of a release in full."""

    def filters(self):
        return {"release_commands": release_commands}
