# MIT License (see LICENSE)
"""Values against their argument specifications."""

from __future__ import annotations

import re
import typing as t

from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible_collections.broadcast.stack.plugins.plugin_utils.preflight.names import suggestion
from ansible_collections.broadcast.stack.plugins.plugin_utils.preflight.problems import Problem, shown
from ansible_collections.broadcast.stack.plugins.plugin_utils.preflight.secrecy import (
    is_secret,
    secret_leaves,
    secret_remedy,
)
from ansible_collections.broadcast.stack.plugins.plugin_utils.preflight.trees import shape

SHAPES = {"list": "list", "dict": "dict", **dict.fromkeys(("str", "path", "int", "float", "bool"), "scalar")}


def missing_variable(name: str, option: t.Mapping[str, t.Any], environment: str) -> Problem:
    if name.startswith("secret_"):
        return Problem(name, "missing", secret_remedy(environment))
    return Problem(name, "missing", "set it: %s" % str(option.get("description", "")).rstrip("."))


def option_problems(name: str, value: t.Any, option: t.Mapping[str, t.Any], origin: str = "") -> list[Problem]:
    """A value against its argument specification, by Ansible's own validator, one problem per error."""
    secret = is_secret(name, option) or any(secret_leaves(value, option, name))
    value_shown = "" if secret else shown(value)
    kind = shown_type(option)
    expected = kind if kind.startswith("one of") else "of type %s" % kind
    wrong = Problem(name, "wrong type or value", "it must be %s" % expected, value_shown, origin)
    # The validator converts between text, lists and dictionaries, but a role's variable stays what it is.
    items = value if isinstance(value, (list, tuple)) else []
    shapes = [shape(value) == SHAPES.get(option.get("type", "str"), shape(value))]
    shapes += [shape(item) == SHAPES.get(option.get("elements", "str"), shape(item)) for item in items]
    if not all(shapes):
        return [wrong]
    problems = []
    if option.get("type") == "bool" and isinstance(value, str):
        # The text "false" is not empty, so templates take it for true.
        remedy = "write true or false without quotes"
        remedy += "" if "." in name else ", on the command line as -e '{\"%s\": false}'" % name
        return [Problem(name, "is text where true or false is needed", remedy, value_shown, origin)]
    for message in ArgumentSpecValidator({name: dict(option)}).validate({name: value}).error_messages:
        nested = re.match(r"(?:%s\.)?([\w.]+)\. Supported parameters include: (.*)\.$" % re.escape(name), message)
        if nested:
            path, supported = nested.groups()
            advice = suggestion(path.rpartition(".")[2], supported.split(", "), 0.6) or "known keys are %s" % supported
            problems.append(Problem("%s.%s" % (name, path), "unknown key", advice, origin=origin))
        elif message.startswith("missing required arguments: "):
            path = message.partition(": ")[2].partition(" found in ")[0]
            problems.append(Problem("%s.%s" % (name, path), "missing", "add the key", origin=origin))
        elif "found in" in message and not secret:
            problems.append(Problem(name, message.replace("'. and", "' and").rstrip("."), origin=origin))
        else:
            problems.append(wrong)
    return problems


def shown_type(option: t.Mapping[str, t.Any]) -> str:
    kind = option.get("type", "str")
    kind = "%s of %s" % (kind, option["elements"]) if option.get("elements", "raw") != "raw" else kind
    return kind if not option.get("choices") else "one of %s" % ", ".join(map(str, option["choices"]))


def truthy(value: t.Any) -> bool:
    return str(value).strip().lower() in ("1", "true", "yes", "on", "y", "t")
