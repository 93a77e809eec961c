# MIT License (see LICENSE)
"""All checks of the application's variables."""

from __future__ import annotations

import dataclasses
import typing as t

from ansible_collections.broadcast.stack.plugins.plugin_utils.preflight.combinations import COMBINATIONS
from ansible_collections.broadcast.stack.plugins.plugin_utils.preflight.entries import ENTRIES, entry_problems
from ansible_collections.broadcast.stack.plugins.plugin_utils.preflight.open_secrets import (
    contained_secret_problems,
    secret_name_problems,
)
from ansible_collections.broadcast.stack.plugins.plugin_utils.preflight.problems import Problem, variable_of
from ansible_collections.broadcast.stack.plugins.plugin_utils.preflight.rules import rule_problems
from ansible_collections.broadcast.stack.plugins.plugin_utils.preflight.secrecy import is_secret


def application_problems(
    values: t.Mapping[str, t.Any],
    options: t.Mapping[str, t.Mapping[str, t.Any]],
    entries: t.Mapping[str, t.Mapping[str, t.Any]],
    secrets: t.Mapping[str, str],
) -> list[Problem]:
    """
    All checks of an application's variables. values: those that are of the right type, options: the specifications of
    all, entries: the keys of entries that are known elsewhere (see ENTRIES), secrets: name to value of the stack's own.
    """
    hidden = {name for name in values if is_secret(name, options.get(name, {}))}
    problems: list[Problem] = []
    for name, (plain, keys) in {**ENTRIES, **{name: ("", keys) for name, keys in entries.items()}}.items():
        if name in values:
            problems += entry_problems(name, values[name], plain, keys, name in hidden)
    problems += rule_problems(values, problems)
    wrong = {variable_of(problem.subject) for problem in problems}
    for check, names in COMBINATIONS:
        if not wrong.intersection(names) and all(name in values for name in names):
            problems += check(*[values[name] for name in names])
    problems += secret_name_problems(values)
    shown_values = {name: value for name, value in values.items() if name.startswith("backend_") and name not in hidden}
    problems += contained_secret_problems(shown_values, secrets, problems)
    return [
        dataclasses.replace(problem, value="") if variable_of(problem.subject) in hidden else problem
        for problem in problems
    ]
