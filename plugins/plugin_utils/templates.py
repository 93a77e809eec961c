# MIT License (see LICENSE)
"""Which variables a raw value refers to, as Jinja's own lexer reads its templates."""

from __future__ import annotations

import dataclasses
import functools
import operator
import re
import typing as t

from jinja2 import Environment, TemplateSyntaxError

NAME_ALONE = re.compile(r"\{\{\s*([A-Za-z_]\w*)\s*\}\}")
# Lookups that evaluate variables that are named by a text.
EVALUATING = frozenset({"broadcast.stack.each", "broadcast.stack.evaluated"})
LOOKUPS = frozenset({"lookup", "q", "query"})
# Lookups that may read variables which the template does not name.
READERS = frozenset({"rendered", "template", "varnames", "vars"})
# Statements that read another template.
READING_STATEMENTS = frozenset({"extends", "from", "import", "include"})
BUILT_IN = frozenset(
    {"and", "dict", "else", "elif", "endif", "endfor", "false", "False", "for", "hostvars", "if", "in", "is", "lookup"}
    | {"none", "None", "not", "now", "omit", "or", "q", "query", "range", "set", "true", "True"}
)
NO_CODE = frozenset({"whitespace", "data", "comment", "comment_begin", "comment_end"})
JINJA = Environment(autoescape=True)


@dataclasses.dataclass(frozen=True)
class Reading:
    """What the templates of a text, or of many texts, refer to."""

    # Variables, without the names of filters, tests, arguments and attributes.
    names: frozenset[str] = frozenset()
    # Variables that a lookup evaluates, named by a text.
    targets: frozenset[str] = frozenset()
    # Variables that have another value in the template of a file; empty for a name that is computed.
    bound: frozenset[str] = frozenset()
    # Whether variables may be read that are not named, so that the value tells nothing about another host.
    any_variable: bool = False
    # Whether anything in it is to be evaluated at all.
    templated: bool = False

    @property
    def references(self) -> frozenset[str]:
        return self.names | self.targets

    def __or__(self, other: Reading) -> Reading:
        return Reading(
            self.names | other.names,
            self.targets | other.targets,
            self.bound | other.bound,
            self.any_variable or other.any_variable,
            self.templated or other.templated,
        )


NOTHING = Reading()
READINGS: dict[int, tuple[t.Any, Reading]] = {}


def tokens(text: str) -> list[tuple[str, str]]:
    """Kind and text of what is code in a text; of a text that is no template, what comes before the fault."""
    found = []
    try:
        for _line, kind, value in JINJA.lex(text):
            if kind not in NO_CODE:
                found.append((kind, value))
    except TemplateSyntaxError:
        pass
    return found


def literal(token: tuple[str, str]) -> str:
    """Text of a string; empty for anything else."""
    return token[1][1:-1] if token[0] == "string" else ""


@functools.cache
def read(text: str) -> Reading:
    """What the templates of one text refer to."""
    if "{{" not in text and "{%" not in text:
        return NOTHING
    code = tokens(text)
    names, targets, bound, any_variable = set(), set(), set(), False
    for position, (kind, value) in enumerate(code):
        before = code[position - 1] if position else ("", "")
        after = [*code[position + 1 : position + 4], ("", ""), ("", ""), ("", "")]
        if kind != "name" or before == ("operator", "."):
            continue
        if before[0] == "block_begin" and value in READING_STATEMENTS:
            any_variable = True
        elif before == ("operator", "|") or names_test(code[:position]):
            continue
        elif after[0] == ("operator", "="):
            # An argument, or what a statement sets.
            if value == "template_vars":
                bound |= keys(code[position + 3 :]) if after[1] == ("operator", "{") else {""}
        else:
            names.add(value)
            if value == "vars":
                any_variable = True
            elif value in LOOKUPS and after[0] == ("operator", "("):
                plugin = literal(after[1])
                # A name that is computed may be any.
                any_variable = any_variable or not plugin or plugin.rpartition(".")[2] in READERS
                if plugin in EVALUATING:
                    named = terms(code[position + 3 :])
                    targets.update(named)
                    # A name that is computed may be any.
                    any_variable = any_variable or "" in named
    return Reading(frozenset(names - BUILT_IN), frozenset(targets - {""}), frozenset(bound), any_variable, True)


def terms(code: list[tuple[str, str]]) -> list[str]:
    """Texts that a lookup is given after its own name, before arguments with a name; empty for what is no text."""
    found = []
    for comma, term, after in zip(code[::2], code[1::2], [*code[2::2], ("", "")], strict=False):
        if comma != ("operator", ",") or after == ("operator", "="):
            break
        found.append(literal(term) if after in (("operator", ","), ("operator", ")")) else "")
    return found


def names_test(before: list[tuple[str, str]]) -> bool:
    """Whether what comes after some code is the name of a test, as in `a is not b`."""
    words = [value for kind, value in before[-2:] if kind == "name"]
    return words[-1:] == ["is"] or words == ["is", "not"]


def keys(code: list[tuple[str, str]]) -> set[str]:
    """Keys, as texts, of the dictionary that the code begins in; empty for a key that is computed."""
    found, depth = set(), 1
    for before, token, following in zip([("operator", "{"), *code], code, code[1:], strict=False):
        if token[0] == "operator" and token[1] in "([{":
            depth += 1
        elif token[0] == "operator" and token[1] in ")]}":
            depth -= 1
        if depth == 0:
            break
        if depth == 1 and following == ("operator", ":"):
            found.add(literal(token) if before in (("operator", "{"), ("operator", ",")) else "")
    return found


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


def read_all(value: t.Any) -> Reading:
    """What the texts of a raw value refer to."""
    # Hosts and roles share most values, so each object is read once. It is kept, or another object could get its id.
    if id(value) not in READINGS:
        READINGS[id(value)] = (value, functools.reduce(operator.or_, map(read, texts(value)), NOTHING))
    return READINGS[id(value)][1]


def references(value: t.Any) -> frozenset[str]:
    """Variables that the templates in a raw value refer to."""
    return read_all(value).references


def closure(name: str, raw: t.Mapping[str, t.Any]) -> set[str]:
    """All variables that a variable's value depends on, itself included, undefined ones too."""
    found, todo = {name}, [name]
    while todo:
        current = todo.pop()
        fresh = references(raw[current]) - found if current in raw else set()
        found |= fresh
        todo += fresh
    return found
