# MIT License (see LICENSE)
"""Entries with names that are free: the keys that each may have."""

from __future__ import annotations

import typing as t

from ansible_collections.broadcast.stack.plugins.plugin_utils.preflight.names import suggestion
from ansible_collections.broadcast.stack.plugins.plugin_utils.preflight.problems import Problem, shown
from ansible_collections.broadcast.stack.plugins.plugin_utils.preflight.rules import FILES, RELEASES
from ansible_collections.broadcast.stack.plugins.plugin_utils.preflight.trees import select, shape
from ansible_collections.broadcast.stack.plugins.plugin_utils.preflight.values import option_problems

_FILE = ("scalar", {"content": {"type": "str", "required": True}, "mode": {"type": "str"}, "owner": {"type": "str"}})
_COMMAND = {"type": "list", "elements": "str", "required": True}
_HEALTHCHECK = {
    "test": {"type": "list", "elements": "str", "required": True},
    "interval": {"type": "str"},
    "timeout": {"type": "str"},
    "retries": {"type": "int"},
    "start_period": {"type": "str"},
}
_RELEASE_COMMAND = (
    "list",
    {
        "command": _COMMAND,
        "name": {"type": "str"},
        "working_dir": {"type": "path"},
        "timeout": {"type": "int"},
        "env": {"type": "dict"},
        "once": {"type": "bool"},
    },
)
# What may stand for a dictionary, and the keys of one, in variables whose entries have free names or none. (Those of
# worker pools and commands on a timer are in their role.)
ENTRIES: dict[str, tuple[str, dict[str, dict[str, t.Any]]]] = {
    "backend_redis_uses": ("", {"instance": {"type": "str"}, "database": {"type": "int"}}),
    **dict.fromkeys(FILES, _FILE),
    "backend_processes": (
        "",
        {
            "command": _COMMAND,
            "env": {"type": "dict"},
            "working_dir": {"type": "path"},
            "memory": {"type": "str"},
            "cpus": {"type": "float"},
            "published_ports": {"type": "list", "elements": "str"},
            "volumes": {"type": "list", "elements": "str"},
            "healthcheck": {"type": "dict", "options": _HEALTHCHECK},
            "stop_timeout": {"type": "int"},
        },
    ),
    **dict.fromkeys(RELEASES, _RELEASE_COMMAND),
    "backend_volumes": (
        "",
        {"path": {"type": "path", "required": True}, "owner": {"type": "str"}, "mode": {"type": "str"}},
    ),
}


def entry_problems(
    name: str, value: t.Any, plain: str, options: t.Mapping[str, t.Mapping[str, t.Any]], secret: bool
) -> list[Problem]:
    """Entries of a variable against the keys that one may have; plain: what may stand for a dictionary."""
    problems: list[Problem] = []
    for path, entry in select(value, ["*"], name):
        if not isinstance(entry, t.Mapping):
            if not plain or entry is None or shape(entry) != plain:
                kinds = {
                    "": "a dictionary",
                    "list": "a list of arguments or a dictionary",
                    "scalar": "text or a dictionary",
                }
                remedy = "give %s with any of %s" % (kinds[plain], ", ".join(options))
                problems.append(Problem(path, "wrong type", remedy, "" if secret else shown(entry)))
            continue
        for key in entry:
            if key not in options:
                advice = suggestion(str(key), options, 0.6) or "known keys are %s" % ", ".join(options)
                problems.append(Problem("%s.%s" % (path, key), "unknown key", advice))
        for key, option in options.items():
            if entry.get(key) is not None:
                told = {**option, "no_log": secret or option.get("no_log", False)}
                problems += option_problems("%s.%s" % (path, key), entry[key], told)
            elif option.get("required"):
                problems.append(Problem("%s.%s" % (path, key), "missing", "add the key"))
    return problems
