# MIT License (see LICENSE)
"""
A host's variables, each of them templated once.

Ansible templates a variable anew wherever it is referred to, and with it all that it refers to in turn: the list of the
stack's hosts was compiled and rendered ten times for one task. Here what a variable refers to is evaluated before it
and takes its template's place; and what the raw values of several hosts agree about is evaluated for one of them.
"""

from __future__ import annotations

import dataclasses
import functools
import pathlib
import typing as t
from collections import ChainMap
from collections.abc import Mapping

from ansible.errors import AnsibleError
from ansible_collections.broadcast.stack.plugins.plugin_utils.templates import (
    NAME_ALONE,
    closure,
    read_all,
    references,
)

ROLES = pathlib.Path(__file__).resolve().parents[2] / "roles"
# Its variables describe containers, in all roles.
SHARED = "container"
UNSET = object()
# Lookups find the HostVariables among the variables by this name.
ORIGIN = "__stack_origin"


def role_part(role: str, folder: str, loader: t.Any) -> dict[str, t.Any]:
    path = ROLES / role / folder / "main.yml"
    # The loader remembers what it has read.
    return loader.load_from_file(str(path), unsafe=True, trusted_as_template=True) if path.exists() else {}


def role_scope(role: str, variables: Mapping[str, t.Any], loader: t.Any) -> dict[str, t.Any]:
    """A host's variables as the tasks of a role see them."""
    path = str(ROLES / role)
    return {
        **role_part(SHARED, "defaults", loader),
        **role_part(role, "defaults", loader),
        **variables,
        **role_part(SHARED, "vars", loader),
        **role_part(role, "vars", loader),
        "container_role": role,
        "role_path": path,
        "ansible_search_path": [path],
    }


def plain(value: t.Any) -> t.Any:
    """Without lazy containers: they hold the whole templating engine, and would evaluate their items anew."""
    if isinstance(value, Mapping):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    return value


def same(one: t.Any, other: t.Any) -> bool:
    try:
        return one is other or (type(one) is type(other) and one == other)
    # To compare an encrypted value is to decrypt it. When that fails, the value's own variable reports it.
    except AnsibleError:
        return False


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What became of a variable's template, and the raw values that this depends on."""

    depends: dict[str, t.Any]
    value: t.Any = None
    error: Exception | None = None

    def fits(self, raw: Mapping[str, t.Any]) -> bool:
        """Whether another host, with these raw values, has the same outcome."""
        return all(same(raw.get(name, UNSET), value) for name, value in self.depends.items())


class HostVariables:
    """A host's variables: raw, and templated one by one so that one that fails hides no other."""

    def __init__(
        self,
        name: str,
        raw: Mapping[str, t.Any],
        templar: t.Any,
        outcomes: dict[str, list[Outcome]] | None = None,
        hostvars: t.Any = None,
        held: t.Collection[str] = (),
    ) -> None:
        self.name = name
        self.raw = raw
        # All hosts of a run share these: most of their variables come from the same files.
        self.outcomes: dict[str, list[Outcome]] = {} if outcomes is None else outcomes
        # Evaluated values. Each takes the place of its template.
        self.scope = {**raw, ORIGIN: self}
        if hostvars is not None:
            self.scope["hostvars"] = hostvars
        self.template = templar.copy_with_new_env(available_variables=self.scope).template
        self.values: dict[str, t.Any] = {}
        self.errors: dict[str, Exception] = {}
        # Variables of the template of a file. They have their values already.
        self.held = frozenset(held)
        self.prepared: set[str] = set()
        self.opened: dict[str, frozenset[str]] = {}

    @classmethod
    def within(
        cls, variables: Mapping[str, t.Any], added: Mapping[str, t.Any], templar: t.Any, held: t.Collection[str] = ()
    ) -> HostVariables:
        """For a lookup: the variables that it sees and those that it adds, with what was evaluated before."""
        origin = variables.get(ORIGIN)
        if origin is None:
            return cls("", {**variables, **added}, templar, held=held)
        # Names that a template sets lie over the variables.
        local = dict(ChainMap(*variables.maps[:-1])) if isinstance(variables, ChainMap) else {}
        # Ansible does not count hostvars among the variables of a host.
        hostvars = origin.scope.get("hostvars")
        return cls("", {**origin.raw, **local, **added}, templar, origin.outcomes, hostvars, held)

    def fails(self, name: str) -> bool:
        if name not in self.values and name not in self.errors:
            outcome = self.outcome(name)
            if outcome.error:
                self.errors[name] = outcome.error
            else:
                self.values[name] = outcome.value
                if not self.open(name):
                    self.scope[name] = outcome.value
        return name in self.errors

    def pieces(self, name: str) -> tuple[t.Any, dict[str, tuple[t.Any, Exception]]]:
        """
        A variable that fails, entry by entry: its value without what cannot be evaluated, and that by its path, such as
        backend_env.URL, each with its raw value and what that raised. In a list None stands for it.
        """
        failed: dict[str, tuple[t.Any, Exception]] = {}

        def piece(raw: t.Any, path: str) -> t.Any:
            if isinstance(raw, dict):
                found = {key: piece(item, "%s.%s" % (path, key)) for key, item in raw.items()}
                return {key: item for key, item in found.items() if item is not UNSET}
            if isinstance(raw, list):
                found = [piece(item, "%s[%d]" % (path, index)) for index, item in enumerate(raw)]
                return [None if item is UNSET else item for item in found]
            try:
                return plain(self.template(raw))
            # A plugin in a template may raise anything.
            except Exception as error:
                failed[path] = (raw, error)
                return UNSET

        value = piece(self.raw[name], name)
        # The values together may fail where no value alone does.
        return (None if value is UNSET else value), failed or {name: (self.raw[name], self.errors[name])}

    def value(self, name: str) -> t.Any:
        """Value of a variable that is defined; raises what its template raised."""
        if self.fails(name):
            raise self.errors[name]
        return self.values[name]

    def outcome(self, name: str) -> Outcome:
        known = next((one for one in self.outcomes.get(name, []) if one.fits(self.raw)), None)
        return known or self.evaluate(name)

    def evaluate(self, name: str) -> Outcome:
        self.prepare(self.raw[name])
        depends = {other: self.raw.get(other, UNSET) for other in closure(name, self.raw)}
        try:
            outcome = Outcome(depends, value=self.passed_on(self.raw[name]) or plain(self.template(self.raw[name])))
        # A plugin in a template may raise anything.
        except Exception as error:
            outcome = Outcome(depends, error=error)
        if not any(read_all(value).any_variable for value in depends.values()):
            self.outcomes.setdefault(name, []).append(outcome)
        return outcome

    def passed_on(self, value: t.Any) -> t.Any:
        """What a template that is but a name stands for, which needs no compilation; None if that is not known."""
        match = NAME_ALONE.fullmatch(value) if isinstance(value, str) else None
        name = match[1] if match else ""
        if name in self.values:
            return None if self.open(name) else self.values[name]
        raw = self.raw.get(name)
        return raw if isinstance(raw, (str, int)) and not self.templated(name) else None

    def prepare(self, value: t.Any) -> None:
        """Evaluate what a raw value refers to."""
        for name in references(value):
            if name in self.raw and name not in self.prepared and self.templated(name):
                self.prepared.add(name)
                if self.open(name):
                    self.prepare(self.raw[name])
                else:
                    # A branch of a template that is not used may fail. That is nobody's problem.
                    self.fails(name)

    @functools.cached_property
    def bound(self) -> frozenset[str]:
        """Variables that have another value in the template of a file."""
        return frozenset().union(*(read_all(value).bound for value in self.raw.values())) - self.held

    def binds(self, name: str) -> bool:
        """Whether a variable may have another value in the template of a file; its name may be computed there."""
        return name in self.bound or ("" in self.bound and name not in self.raw)

    def templated(self, name: str) -> bool:
        return read_all(self.raw[name]).templated

    def open(self, name: str) -> frozenset[str]:
        """
        Names that a variable depends on and that have another value in the template of a file. What the variable holds
        is then another value there, so its template stays.
        """
        if name not in self.opened:
            # A variable may refer to itself.
            self.opened[name] = frozenset()
            found: set[str] = set()
            reading = read_all(self.raw.get(name))
            for other in reading.names:
                found |= {other} if self.binds(other) else self.open(other)
            for target in reading.targets:
                found |= self.open(target)
            self.opened[name] = frozenset(found)
        return self.opened[name]
