# MIT License (see LICENSE)
"""What templates ask of variables, found with Jinja's own parser: `a['b'].get('c')` asks for the path (a, b, c)."""

from __future__ import annotations

import functools
import re
import typing as t

from jinja2 import Environment, TemplateError, nodes

Path = tuple[t.Any, ...]
# Aliases: a name that a template gave itself, with the paths it stands for; none when nobody can tell.
Scope = dict[str, list[Path]]
# A key that is only known when the template is evaluated, and each item of what is looped over.
ANY = "*"
# These filters hand on what they are given.
TRANSPARENT = frozenset(("default", "d", "mandatory"))
# Whether something is there says nothing about what is in it.
PRESENCE = frozenset(("defined", "undefined", "none", "mapping"))
VARIABLE_LOOKUPS = frozenset(("vars", "ansible.builtin.vars"))
LOOKUPS = frozenset(("lookup", "query", "q"))
FIELD = re.compile(r"%(?:\(\w+\))?[sdr]|\{[^{}]*\}")
MARK = re.compile(r"\0(\d+)\0")
MAXIMUM_DEPTH = 20


@functools.cache
def parsed(text: str) -> nodes.Template | None:
    """None for what Jinja cannot read; Ansible says so by itself."""
    if "{{" not in text and "{%" not in text:
        return None
    try:
        return Environment(extensions=["jinja2.ext.do", "jinja2.ext.loopcontrols"]).parse(text)
    except TemplateError:
        return None


def key_of(node: nodes.Node | None) -> t.Any:
    return node.value if isinstance(node, nodes.Const) else ANY


def extended(paths: list[Path], *keys: t.Any) -> list[Path]:
    return [path + keys for path in paths]


def items(node: nodes.Node, paths: list[Path]) -> list[Path]:
    """Of what a loop goes over: calls and filters that are followed give items already."""
    return paths if isinstance(node, (nodes.Call, nodes.Filter)) else extended(paths, ANY)


def normal(path: Path) -> Path:
    """Without the detours through all variables."""
    if path[0] == "vars" and len(path) > 1:
        return path[1:]
    if path[0] == "hostvars" and len(path) > 2:
        return path[2:]
    return path


def called(node: nodes.Call, scope: Scope) -> list[Path] | None:
    target, first = node.node, node.args[0] if node.args else None
    if isinstance(target, nodes.Getattr):
        paths = denoted(target.node, scope)
        if paths is None:
            return None
        if target.attr == "get":
            return extended(paths, key_of(first))
        if target.attr in ("values", "items"):
            return extended(paths, ANY)
        # Any other method works on its object, as strip() does.
        return [] if target.attr == "keys" else paths
    if isinstance(target, nodes.Name) and target.name in LOOKUPS and key_of(first) in VARIABLE_LOOKUPS:
        return [(key_of(argument),) for argument in node.args[1:]]
    return None


def filtered(node: nodes.Filter, scope: Scope) -> list[Path] | None:
    if node.node is None:
        return None
    paths = denoted(node.node, scope)
    if paths is None:
        return None
    if node.name in TRANSPARENT:
        others = [denoted(argument, scope) or [] for argument in node.args]
        return [*paths, *(path for other in others for path in other)]
    if node.name == "attr" and node.args:
        return extended(paths, key_of(node.args[0]))
    if node.name == "map":
        attribute = next((key_of(keyword.value) for keyword in node.kwargs if keyword.key == "attribute"), None)
        return None if attribute is None else extended(items(node.node, paths), *str(attribute).split("."))
    if node.name in ("dict2items", "ansible.builtin.dict2items"):
        return extended(paths, ANY)
    return None


def denoted(node: nodes.Node, scope: Scope) -> list[Path] | None:
    """The paths of which the value of an expression is one; None for what is computed."""
    if isinstance(node, nodes.Name):
        return scope.get(node.name, [(node.name,)])
    if isinstance(node, (nodes.Getattr, nodes.Getitem)):
        paths = denoted(node.node, scope)
        key = node.attr if isinstance(node, nodes.Getattr) else key_of(node.arg)
        return None if paths is None else extended(paths, key)
    if isinstance(node, nodes.Call):
        return called(node, scope)
    if isinstance(node, nodes.Filter):
        return filtered(node, scope)
    sides = links(node)[0] if isinstance(node, (nodes.CondExpr, nodes.Or, nodes.And)) else []
    found = [paths for side in sides if side is not None and (paths := denoted(side, scope))]
    return [path for paths in found for path in paths] or None


def links(node: nodes.Node) -> tuple[list[nodes.Node | None], list[nodes.Node]]:
    """What a node of a chain goes on from, and what it holds beside the chain: keys, arguments, conditions."""
    if isinstance(node, nodes.Getattr):
        return [node.node], []
    if isinstance(node, nodes.Getitem):
        return [node.node], [node.arg]
    if isinstance(node, nodes.CondExpr):
        return [node.expr1, node.expr2], [node.test]
    if isinstance(node, (nodes.Or, nodes.And)):
        return [node.left, node.right], []
    if isinstance(node, nodes.Filter) and node.name in TRANSPARENT:
        return [node.node, *node.args], []
    if isinstance(node, nodes.Filter):
        return [node.node], [*node.args, *node.kwargs]
    if isinstance(node, nodes.Call):
        own = [node.node.node] if isinstance(node.node, nodes.Getattr) else []
        return list(own), [*node.args, *node.kwargs]
    return [], []


def beside(node: nodes.Node, scope: Scope, found: set[Path]) -> None:
    """Visit what a chain holds, and not the chain."""
    chain, others = links(node)
    for link in chain:
        if link is None:
            continue
        if denoted(link, scope) is None:
            visit(link, scope, found)
        else:
            beside(link, scope, found)
    for other in others:
        visit(other, scope, found)


def bind(target: nodes.Node, paths: list[Path] | None, scope: Scope) -> None:
    if isinstance(target, nodes.Name):
        scope[target.name] = paths or []
    elif isinstance(target, nodes.Tuple):
        # items() gives pairs. The second of each is the value.
        for position, item in enumerate(target.items):
            bind(item, paths if position else None, scope)


def visit(node: nodes.Node, scope: Scope, found: set[Path]) -> None:
    paths = denoted(node, scope) if isinstance(node, nodes.Expr) else None
    if paths is not None:
        found.update(paths)
        beside(node, scope, found)
    elif isinstance(node, nodes.Test) and node.name in PRESENCE:
        beside(node.node, scope, found)
    elif isinstance(node, (nodes.Assign, nodes.For)):
        value = node.node if isinstance(node, nodes.Assign) else node.iter
        own = denoted(value, scope)
        if own is None:
            visit(value, scope, found)
        elif isinstance(node, nodes.For):
            own = items(value, own)
        bind(node.target, own, scope)
        for child in () if isinstance(node, nodes.Assign) else node.iter_child_nodes(exclude=("target", "iter")):
            visit(child, scope, found)
    elif isinstance(node, nodes.With):
        for target, value in zip(node.targets, node.values, strict=True):
            own = denoted(value, scope)
            if own is None:
                visit(value, scope, found)
            bind(target, own, scope)
        for child in node.body:
            visit(child, scope, found)
    else:
        if isinstance(node, nodes.Macro):
            for argument in node.args:
                bind(argument, None, scope)
        for child in node.iter_child_nodes():
            visit(child, scope, found)


def pieces(node: nodes.Node, scope: Scope, marks: list[set[Path]]) -> str:
    """The text that a node gives, as far as it is written in the template; a mark for each value in it."""
    if isinstance(node, nodes.TemplateData):
        return node.data
    if isinstance(node, nodes.Const):
        return str(node.value)
    if isinstance(node, nodes.Output):
        return "".join(pieces(child, scope, marks) for child in node.nodes)
    if isinstance(node, nodes.Concat):
        return "".join(pieces(child, scope, marks) for child in node.nodes)
    if isinstance(node, nodes.Add):
        return pieces(node.left, scope, marks) + pieces(node.right, scope, marks)
    template, values = formatted(node)
    if template is not None:
        texts = [pieces(value, scope, marks) for value in values]
        return FIELD.sub(lambda match: texts.pop(0) if texts else match.group(), template) + "".join(texts)
    if isinstance(node, nodes.Stmt):
        visit(node, scope, set())
        # The two sides of a condition do not follow one another.
        return "\n" + "\n".join(pieces(child, scope, marks) for child in node.iter_child_nodes()) + "\n"
    found: set[Path] = set()
    visit(node, scope, found)
    marks.append({normal(path) for path in found})
    return "\0%d\0" % (len(marks) - 1)


def formatted(node: nodes.Node) -> tuple[str | None, list[nodes.Node]]:
    """Text with fields and what fills them: 'a%s' | format(b), 'a{}'.format(b), 'a%s' % b."""
    if isinstance(node, nodes.Filter) and node.name == "format":
        template, values = node.node, [*node.args, *(keyword.value for keyword in node.kwargs)]
    elif isinstance(node, nodes.Call) and isinstance(node.node, nodes.Getattr) and node.node.attr == "format":
        template, values = node.node.node, [*node.args, *(keyword.value for keyword in node.kwargs)]
    elif isinstance(node, nodes.Mod):
        right = node.right
        template, values = node.left, right.items if isinstance(right, nodes.Tuple) else [right]
    else:
        return None, []
    text = template.value if isinstance(template, nodes.Const) else None
    return (text, values) if isinstance(text, str) else (None, [])


class Reads:
    """What templates of an inventory ask of some variables, also by way of other variables of the inventory."""

    def __init__(self, raw: t.Mapping[str, t.Any], roots: t.Collection[str]) -> None:
        self.raw, self.roots = raw, roots

    def __call__(self, text: str) -> set[Path]:
        """The paths below the roots that a template asks for."""
        return self.reached(direct(text), 0)

    def reached(self, paths: t.Iterable[Path], depth: int) -> set[Path]:
        found: set[Path] = set()
        for path in paths:
            if path[0] in self.roots:
                found.add(path)
            elif depth < MAXIMUM_DEPTH and path[0] in self.raw:
                found |= self.below(self.raw[path[0]], path[1:], depth + 1)
        return found

    def below(self, value: t.Any, keys: Path, depth: int) -> set[Path]:
        if isinstance(value, str):
            expression = alone(value)
            if expression is None:
                return self.reached(direct(value), depth)
            paths = denoted(expression, {})
            if paths is None:
                return self.reached(direct(value), depth)
            return self.reached([normal(path) for path in extended(paths, *keys)], depth)
        if isinstance(value, t.Mapping):
            chosen = [value[keys[0]]] if keys and keys[0] in value else list(value.values())
        else:
            chosen = list(value) if isinstance(value, (list, tuple)) else []
        return {path for item in chosen for path in self.below(item, keys[1:], depth)}

    def texts(self, text: str) -> tuple[str, list[set[Path]]]:
        """The template as text, with a mark of MARK's form for each value, and what each value asks for."""
        template = parsed(text)
        if template is None:
            return text, []
        marks: list[set[Path]] = []
        scope: Scope = {}
        written = "".join(pieces(child, scope, marks) for child in template.body)
        return written, [self.reached(paths, 0) for paths in marks]


def direct(text: str) -> set[Path]:
    template, found = parsed(text), set()
    if template is not None:
        visit(template, {}, found)
    return {normal(path) for path in found}


def alone(text: str) -> nodes.Node | None:
    """The expression of a template that is nothing else, so its value is no text."""
    template = parsed(text.strip())
    if template is None or len(template.body) != 1 or not isinstance(template.body[0], nodes.Output):
        return None
    (*others, expression) = template.body[0].nodes
    return None if others or isinstance(expression, nodes.TemplateData) else expression
