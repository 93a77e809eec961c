# MIT License (see LICENSE)
"""What to tell about a template that cannot be evaluated."""

from __future__ import annotations

import re
import typing as t

from ansible.parsing.vault import EncryptedString
from ansible_collections.broadcast.stack.plugins.plugin_utils.images.context import CatalogError
from ansible_collections.broadcast.stack.plugins.plugin_utils.preflight.hosts import HostValues
from ansible_collections.broadcast.stack.plugins.plugin_utils.preflight.names import suggestion
from ansible_collections.broadcast.stack.plugins.plugin_utils.preflight.problems import Problem, one_line, variable_of
from ansible_collections.broadcast.stack.plugins.plugin_utils.preflight.secrecy import is_secret

UNDEFINED = re.compile(r"'(\w+)' is undefined")
NO_ATTRIBUTE = re.compile(r"has no attribute (?:'([^']*)'|(\S+))")


def cause(error: BaseException | None, kind: type[BaseException]) -> BaseException | None:
    """The error of a kind that another one was raised from, at whatever distance."""
    while error is not None and not isinstance(error, kind):
        error = error.__cause__ or error.__context__
    return error


def template_problem(
    host: HostValues,
    path: str,
    raw: t.Any,
    error: Exception,
    option: dict,
    environment: str,
    known: t.Collection[str],
) -> Problem:
    """Why a template cannot be evaluated. known: names of variables that a user may have meant."""
    if isinstance(raw, EncryptedString) or "undecryptable" in str(error):
        remedy = "put the password it was encrypted with into .vault-password-%s" % (environment or "<environment>")
        return Problem(path, "cannot be decrypted", remedy)
    if fault := cause(error, CatalogError):
        # The error names the variable and the remedy itself.
        subject, _colon, text = str(fault).partition(": ")
        return Problem(subject, text.rstrip("."))
    if undefined := UNDEFINED.search(str(error)):
        missing = undefined.group(1)
        advice = suggestion(missing, {*known, *host.raw}) or "define it"
        return Problem(path, "refers to %s, but that is not defined" % missing, advice)
    if (found := NO_ATTRIBUTE.search(str(error))) and (attribute := found[1] or found[2]) in str(raw):
        # The text as it is written: it does not hold the value of a secret.
        return attribute_problem(host, path, str(raw), attribute)
    if is_secret(variable_of(path), option):
        # The message of an error may quote the text that could not be read.
        return Problem(path, "cannot be evaluated (%s)" % type(error).__name__, "check its template")
    reason = one_line(str(error))
    return Problem(path, "cannot be evaluated: %s" % reason.rstrip("."), "check its template")


def attribute_problem(host: HostValues, path: str, raw: str, attribute: str) -> Problem:
    """A template that asks a variable, or a part of one, for what it has not."""
    owner = re.search(r"([\w.]+)(?:\.|\[\s*['\"]?)%s\b" % re.escape(attribute), raw)
    name = owner[1] if owner else ""
    text = "refers to %s, but there is none" % (".".join(filter(None, [name, attribute])))
    value: t.Any = None
    if variable_of(name) in host.raw and not host.fails(variable_of(name)):
        value = host.values[variable_of(name)]
        for step in name.split(".")[1:]:
            value = value.get(step) if isinstance(value, dict) else None
    keys = [str(key) for key in value] if isinstance(value, dict) else []
    advice = suggestion(attribute, keys, 0.6) or ("it has %s" % ", ".join(keys) if keys else "")
    return Problem(path, text, advice or "check its template")
