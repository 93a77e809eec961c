# MIT License (see LICENSE)
"""Values in the open that are secret, and values that YAML makes others of."""

from __future__ import annotations

import re
import typing as t
from urllib.parse import quote

from ansible_collections.broadcast.stack.plugins.plugin_utils.preflight.problems import Problem, shown
from ansible_collections.broadcast.stack.plugins.plugin_utils.preflight.rules import ENVIRONMENTS, RELEASES
from ansible_collections.broadcast.stack.plugins.plugin_utils.preflight.secrecy import SECRET_NAME, placeholder
from ansible_collections.broadcast.stack.plugins.plugin_utils.preflight.trees import leaves, select

MINIMUM_CONTAINED_LENGTH = 8


def unquoted_problems(raw: t.Mapping[str, t.Any]) -> list[Problem]:
    """Values of environments as they are written: YAML reads words and numbers, and an application gets text."""
    problems = []
    for name, *steps in (place.split(".") for place in (*ENVIRONMENTS, "backend_secret_env")):
        for path, value in select(raw.get(name), [*steps, "*"], name):
            if isinstance(value, bool):
                text = "is true or false for YAML, and nobody knows the word that the application would get"
                remedy = 'write the word that it reads in quotes, such as "%d" or "%s"' % (value, str(value).lower())
            elif isinstance(value, (int, float)):
                text = "is a number for YAML, and YAML writes numbers in its own way"
                remedy = 'write it in quotes, such as "%s"' % value
            else:
                continue
            problems.append(Problem(path, text, remedy, "" if name == "backend_secret_env" else shown(value)))
    return problems


def secret_name_problems(values: t.Mapping[str, t.Any]) -> list[Problem]:
    """Environment variables that are secrets by their names; those of a build are stand-ins for real ones."""
    problems = []
    for name, *steps in (place.split(".") for place in ENVIRONMENTS if place != "backend_build_env"):
        for path, value in select(values.get(name), [*steps, "*"], name):
            key = path.rpartition(".")[2]
            # Neither a switch nor the path of a file is secret.
            if SECRET_NAME.search(key) and not re.fullmatch(r"|none|true|false|yes|no|\d|/.*", str(value).lower()):
                part = "release_" if name in (*RELEASES, "backend_release_env") else ""
                remedy = "move it to backend_%ssecret_env, or to backend_%ssecrets when the application reads %s_FILE"
                remedy %= (part, part, key)
                problems.append(Problem(path, "is a secret in the environment", remedy))
    return problems


def contained_secret_problems(
    values: t.Mapping[str, t.Any], secrets: t.Mapping[str, str], found: t.Iterable[Problem]
) -> list[Problem]:
    """Values in the open that hold one of our secrets, as it is or as part of a URL."""
    known = {problem.subject for problem in found}
    needles = {
        needle: name
        for name, secret in secrets.items()
        if len(secret) >= MINIMUM_CONTAINED_LENGTH and not placeholder(name, secret)
        for needle in (secret, quote(secret, safe=""))
    }
    problems = []
    for variable, value in values.items():
        for path, text in leaves(value, variable) if needles else ():
            name = next((name for needle, name in needles.items() if needle in text), "")
            if name and path not in known:
                remedy = "move it to backend_secret_env or backend_secret_files"
                problems.append(Problem(path, "contains the value of %s" % name, remedy))
    return problems
