# MIT License (see LICENSE)
"""Which variable a problem comes from: templates pass on the values, and so the faults, of others."""

from __future__ import annotations

import typing as t

from ansible_collections.broadcast.stack.plugins.plugin_utils.preflight.problems import variable_of
from ansible_collections.broadcast.stack.plugins.plugin_utils.preflight.trees import leaves
from ansible_collections.broadcast.stack.plugins.plugin_utils.templates import NAME_ALONE, closure, references


def passed_on(subject: str, raw: t.Mapping[str, t.Any], faulty: t.Collection[str]) -> bool:
    """Whether what a problem is about comes by a template from another variable, which has a problem itself."""
    name = variable_of(subject)
    for path, text in leaves(raw.get(name), name):
        # Scalars of a list are reported without their index.
        places = path, path.rpartition("[")[0] if path.endswith("]") else path
        if subject in places or subject.startswith((path + ".", path + "[")):
            for other in references(text) - {name}:
                if not closure(other, raw).isdisjoint(faulty):
                    return True
    return False


def written_as(subject: str, raw: t.Mapping[str, t.Any]) -> str:
    """
    A subject, such as django_web_limits.memory, by the variable that a user writes, when the one that it begins with,
    or the entry of a dictionary, only passes that one on.
    """
    name = variable_of(subject)
    rest, seen = subject[len(name) :], set()
    while name not in seen:
        seen.add(name)
        value, left = raw.get(name), rest
        if isinstance(value, dict):
            key, _dot, left = rest.removeprefix(".").partition(".")
            value, left = value.get(key), left and "." + left
        if isinstance(value, str) and (match := NAME_ALONE.fullmatch(value)):
            name, rest = match[1], left
    return name + rest


def root_causes(
    name: str,
    raw: t.Mapping[str, t.Any],
    fails: t.Callable[[str], bool],
    failed: t.Callable[[str], t.Mapping[str, tuple[t.Any, Exception]]],
) -> dict[str, tuple[t.Any, Exception]]:
    """
    What is at the bottom of a failed template: it fails, and nothing that it refers to does. By its path, with its raw
    value and what that raised. failed: the entries of a variable that fail, in the same form.
    """
    found: dict[str, tuple[t.Any, Exception]] = {}
    todo, seen = [name], {name}
    while todo:
        for path, (text, error) in failed(todo.pop()).items():
            below = [one for one in sorted(references(text)) if one in raw and one not in seen and fails(one)]
            if below:
                seen.add(below[0])
                todo.append(below[0])
            elif not any(one in seen and one in raw and fails(one) for one in references(text) - {variable_of(path)}):
                found[path] = (text, error)
    # When variables refer to each other, none is at the bottom.
    return found or dict(failed(name))
