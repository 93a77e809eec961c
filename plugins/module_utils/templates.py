# MIT License (see LICENSE)
"""Which variables a raw value refers to."""

from __future__ import annotations

import functools
import re
import typing as t

TEMPLATE = re.compile(r"\{\{.*?\}\}|\{%.*?%\}", re.S)
NAME_ALONE = re.compile(r"\{\{\s*([A-Za-z_]\w*)\s*\}\}")
STRING_LITERAL = re.compile(r"'[^']*'|\"[^\"]*\"")
IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
ATTRIBUTE = re.compile(r"\.\s*[A-Za-z_]\w*")
# What this lookup evaluates is named by text, and so is the variable that holds an item meanwhile.
EACH = re.compile(r"broadcast\.stack\.each['\"],\s*['\"](\w+)['\"]")
BOUND = re.compile(r"\bvariable=['\"](\w+)['\"]|template_vars=\{['\"](\w+)['\"]")
# May read variables that it does not name, so its value tells nothing about another host.
ANY_VARIABLE = re.compile(r"\{.*(?:['\".](?:template|rendered|vars|varnames)['\"]|\bvars\s*\[)", re.S)
# Names that are no variables: filters, tests and the names of arguments.
NO_VARIABLE = re.compile(r"\|\s*\w+|\bis\s+(?:not\s+)?\w+|\b\w+\s*=(?!=)")
BUILT_IN = frozenset(
    {"and", "dict", "else", "elif", "endif", "endfor", "false", "False", "for", "hostvars", "if", "in", "is", "lookup"}
    | {"none", "None", "not", "now", "omit", "or", "q", "query", "range", "set", "true", "True"}
)


@functools.cache
def _references(text: str) -> frozenset[str]:
    code = " ".join(TEMPLATE.findall(text))
    code = ATTRIBUTE.sub("", STRING_LITERAL.sub("", code))
    return frozenset({*IDENTIFIER.findall(code), *EACH.findall(text)})


@functools.cache
def free(text: str) -> frozenset[str]:
    """Names of variables in a text's templates, without those of filters, tests and arguments."""
    code = STRING_LITERAL.sub("''", " ".join(TEMPLATE.findall(text)))
    return frozenset(IDENTIFIER.findall(NO_VARIABLE.sub(" ", ATTRIBUTE.sub("", code)))) - BUILT_IN


def texts(value: t.Any) -> t.Iterator[str]:
    """All strings in a raw value, keys too, in no order. Not in hostvars, which is a mapping that evaluates."""
    # No recursion: what was registered of a host holds thousands of strings, and each would pass through all levels.
    found = [value]
    while found:
        one = found.pop()
        if isinstance(one, str):
            yield str(one)
        elif isinstance(one, dict):
            found += one
            found += one.values()
        elif isinstance(one, (list, tuple)):
            found += one


def references(value: t.Any) -> set[str]:
    """Names that the templates in a raw value may refer to (string literals and attributes apart)."""
    return set().union(*map(_references, texts(value)))


def closure(name: str, raw: t.Mapping[str, t.Any]) -> set[str]:
    """All variables that a variable's value depends on, itself included, undefined ones too."""
    found, todo = {name}, [name]
    while todo:
        current = todo.pop()
        fresh = references(raw[current]) - found if current in raw else set()
        found |= fresh
        todo += fresh
    return found
