# MIT License (see LICENSE)
"""All checks of one host, in the order in which a problem hides others."""

from __future__ import annotations

import dataclasses
import re
import typing as t
from urllib.parse import quote

from ansible_collections.broadcast.stack.plugins.filter.certificate_problems import certificate_problems, lacks_chain
from ansible_collections.broadcast.stack.plugins.plugin_utils.evaluation import HostVariables, role_part, role_scope
from ansible_collections.broadcast.stack.plugins.plugin_utils.preflight import guarantees, paths
from ansible_collections.broadcast.stack.plugins.plugin_utils.preflight.application import application_problems
from ansible_collections.broadcast.stack.plugins.plugin_utils.preflight.causes import passed_on, root_causes, written_as
from ansible_collections.broadcast.stack.plugins.plugin_utils.preflight.failed_templates import template_problem
from ansible_collections.broadcast.stack.plugins.plugin_utils.preflight.hosts import HostValues, Inventory
from ansible_collections.broadcast.stack.plugins.plugin_utils.preflight.names import (
    deprecated_variables,
    renamed_variables,
    unknown_variables,
)
from ansible_collections.broadcast.stack.plugins.plugin_utils.preflight.observed import (
    fleet_problems,
    left_out,
    observed_problems,
)
from ansible_collections.broadcast.stack.plugins.plugin_utils.preflight.open_secrets import (
    contained_secret_problems,
    secret_name_problems,
    unquoted_problems,
)
from ansible_collections.broadcast.stack.plugins.plugin_utils.preflight.problems import Problem, variable_of
from ansible_collections.broadcast.stack.plugins.plugin_utils.preflight.secrecy import (
    is_secret,
    secret_leaves,
    secret_problems,
)
from ansible_collections.broadcast.stack.plugins.plugin_utils.preflight.services import (
    plain_redis_problems,
    redis_reference_problems,
)
from ansible_collections.broadcast.stack.plugins.plugin_utils.preflight.values import (
    missing_variable,
    option_problems,
    truthy,
)
from ansible_collections.broadcast.stack.plugins.plugin_utils.templates import closure, references

# People fill these by hand, even where a part is a template.
OWN_SECRETS = ("backend_secrets", "backend_secret_env", "backend_release_secrets", "backend_release_secret_env")


class HostChecks:
    """All checks of a host; what several hosts share is judged once."""

    def __init__(self, inventory: Inventory, templar: t.Any, loader: t.Any) -> None:
        self.inventory = inventory
        self.specs = inventory.specs
        self.templar, self.loader = templar, loader
        self.validated: dict[tuple[str, int], tuple[t.Any, list[Problem]]] = {}
        self.secret_values: set[str] = set()

    def host_problems(self, host: HostValues, play_hosts: list[str]) -> list[Problem]:
        options = dict(self.specs.stack)
        for role in self.inventory.roles_of(host):
            options.update(self.specs.roles.get(role, {}))
        options.update({name: option for name, option in self.specs.old.items() if name in host.raw})
        environment = host.get("stack_environment", options)
        if environment not in options["stack_environment"]["choices"]:
            # An unknown environment gets no leniency.
            environment = ""
        problems = self.name_problems(host)
        broken, found = self.value_problems(host, options, environment)
        problems += found
        problems += self.secret_problems(host, options, environment, broken)
        problems += self.application_problems(host, options, environment, broken)
        problems += fleet_problems(self.inventory, host)
        faulty = {variable_of(problem.subject) for problem in problems if not problem.warning}
        problems += self.guarded_problems(host, options, environment, broken, faulty)
        # A problem that only follows from a reported variable is not reported again.
        reported = {variable_of(problem.subject) for problem in problems if not problem.warning}
        problems += self.role_problems(host, reported)
        problems += self.template_problems(host, options, environment, reported)
        problems += self.open_secret_problems(host, options, broken)
        problems = self.inventory.located(host, problems)
        if host.name in play_hosts:
            observed = observed_problems(self.inventory, host, options)
            if left_out(self.inventory, host, options):
                observed = [dataclasses.replace(problem, warning=True) for problem in observed]
            problems += [dataclasses.replace(problem, about_host=True) for problem in observed]
        return [dataclasses.replace(problem, host=host.name) for problem in problems]

    def name_problems(self, host: HostValues) -> list[Problem]:
        accepted = self.inventory.listed(host, "stack_extra_variables")
        renamed = renamed_variables(host.raw, self.specs.renamed)
        deprecated = deprecated_variables(host.raw, self.specs.deprecated)
        known = frozenset(self.specs.known | set(self.specs.renamed) | set(self.specs.deprecated))
        return renamed + deprecated + unknown_variables(host.raw, known, self.specs.prefixes, accepted)

    def value_problems(
        self, host: HostValues, options: dict[str, dict], environment: str
    ) -> tuple[set[str], list[Problem]]:
        """Missing variables and values of a wrong type; the names of both, since no other check can use them."""
        broken: set[str] = set()
        problems: list[Problem] = []
        for name, option in options.items():
            found: list[Problem] = []
            if name not in host.raw:
                if option.get("required") and self.needed(host, name, options):
                    found = [missing_variable(name, option, environment)]
            elif host.fails(name):
                broken.add(name)
            elif host.values[name] is None:
                # Ansible takes an empty value in YAML for an absent one.
                if option.get("required") or option.get("default") is not None:
                    found = [missing_variable(name, option, environment)]
            else:
                found = self.option_problems(name, host.values[name], option)
            if found:
                broken.add(name)
                problems += found
        # A variable that only passes on the value of another one passes on its fault as well.
        inherited = {name for name in broken if closure(name, host.raw) & broken - {name}}
        return broken, [problem for problem in problems if variable_of(problem.subject) not in inherited]

    @staticmethod
    def needed(host: HostValues, name: str, options: dict[str, dict]) -> bool:
        """A secret that nothing on the host refers to is one of a service that the stack does without."""
        others = [other for other in options if other in host.raw] if name.startswith("secret_") else []
        return not others or any(name in closure(other, host.raw) for other in others)

    def option_problems(self, name: str, value: t.Any, option: dict[str, t.Any]) -> list[Problem]:
        """Judged once for all hosts that share an outcome, which is why the object and not its value is the key."""
        _value, problems = self.validated.get((name, id(value)), (None, None))
        if problems is None:
            problems = option_problems(name, value, option)
            self.validated[name, id(value)] = (value, problems)
        return problems

    def secret_problems(
        self, host: HostValues, options: dict[str, dict], environment: str, broken: set[str]
    ) -> list[Problem]:
        ours: dict[str, str] = {}
        extra: dict[str, str] = {}
        for name, option in options.items():
            if name not in host.values and name not in host.errors:
                continue
            # The raw value of a variable that fails may hold secrets as well. No message may quote them.
            value = host.values[name] if name in host.values else host.pieces(name)[0]
            no_log = is_secret(name, option)
            for path, text in secret_leaves(value, {**option, "no_log": no_log}, name):
                self.secret_values.add(str(text))
                if name in broken:
                    continue
                if name.startswith("secret_"):
                    ours[path] = str(text)
                # A template passes on a value that is judged where it is written. An empty string means "not used".
                elif path == name:
                    if not references(host.raw[name]) and text:
                        ours[path] = str(text)
                elif not references(host.raw[name]) or name in OWN_SECRETS:
                    extra[path] = str(text)
        for name in [name for name, text in ours.items() if "-----BEGIN" in text]:
            # Keys and certificates are judged elsewhere, by their use.
            del ours[name]
        return secret_problems(ours, extra, environment)

    def application_problems(
        self, host: HostValues, options: dict[str, dict], environment: str, broken: set[str]
    ) -> list[Problem]:
        # Those of Redis are judged with the application's uses of them wherever it runs.
        names = [name for name in (*self.specs.stack, "redis_instances") if name not in broken]
        values = {name: value for name in names if (value := host.get(name, options)) is not None}
        values["stack_environment"] = environment
        secrets = self.stack_secrets(host, broken)
        self.secret_values.update(form for secret in secrets.values() for form in (secret, quote(secret, safe="")))
        problems = application_problems(values, options, self.specs.entries, secrets)
        problems += unquoted_problems(host.raw)
        if "backend_redis_uses" in values:
            problems += redis_reference_problems(host.raw, values["backend_redis_uses"])
        if truthy(host.get("stack_fleet", options)):
            problems += plain_redis_problems(host.raw)
        faulty = {variable_of(problem.subject) for problem in problems}
        problems = [one for one in problems if not passed_on(one.subject, host.raw, faulty)]
        if host.get("nginx_tls_certificate_source", options) == "files":
            names = ["nginx_tls_certificate", "nginx_tls_certificate_key", "nginx_tls_server_names"]
            served = [host.get(name, options) for name in names if name not in broken]
            if len(served) == len(names) and None not in served:
                certificate, key, server_names = served
                server_names = server_names + self.inventory.listed(host, "nginx_tls_redirect_names", options)
                remedy = "give the pair that belongs to your domains"
                sentences = certificate_problems(certificate, key, server_names)
                problems += [Problem(names[0], sentence, remedy) for sentence in sentences]
                if lacks_chain(certificate):
                    text = "has no chain, so only clients that know its issuer trust it"
                    remedy = "append the certificates of its issuers (your authority calls the file chain or fullchain)"
                    problems.append(Problem(names[0], text, remedy, warning=True))
        return problems

    @staticmethod
    def stack_secrets(host: HostValues, broken: t.Collection[str]) -> dict[str, str]:
        return {
            name: str(host.values[name])
            for name in host.raw
            if name.startswith("secret_") and name not in broken and not host.fails(name)
        }

    def open_secret_problems(self, host: HostValues, options: dict[str, dict], broken: set[str]) -> list[Problem]:
        """Secrets in the open beside an entry that cannot be evaluated, for which its variable is no further judged."""
        values = {name: value for name in host.errors if name in self.specs.stack and (value := host.pieces(name)[0])}
        found = secret_name_problems(values)
        values = {name: value for name, value in values.items() if not is_secret(name, options.get(name, {}))}
        return found + contained_secret_problems(values, self.stack_secrets(host, broken), found)

    def guarded_problems(
        self, host: HostValues, options: dict[str, dict], environment: str, broken: set[str], faulty: set[str]
    ) -> list[Problem]:
        """Paths and names that are written or deleted by, and guarantees that the inventory gives up."""
        names = dict.fromkeys((*options, *guarantees.SSH, *filter(paths.judged, host.raw)))
        values = {name: host.get(name, options) for name in names if name not in broken}
        problems = paths.path_problems({name: value for name, value in values.items() if paths.judged(name)})
        problems += guarantees.guarantee_problems(values, environment)
        faulty = faulty | {variable_of(problem.subject) for problem in problems}
        return [one for one in problems if not passed_on(one.subject, host.raw, faulty)]

    def role_problems(self, host: HostValues, reported: set[str]) -> list[Problem]:
        """What the host's roles would refuse by themselves, when others have changed it: their __<role>_problems."""
        problems = []
        for role in dict.fromkeys(self.inventory.roles_of(host)):
            name = "__%s_problems" % role
            if name not in role_part(role, "vars", self.loader):
                continue
            scope = role_scope(role, host.raw, self.loader)
            variables = HostVariables(host.name, scope, self.templar, self.inventory.outcomes, self.inventory.hostvars)
            # When a list cannot be evaluated, the cause is another variable, and that is reported by itself.
            for sentence in [] if variables.fails(name) else variables.values[name]:
                subjects, _colon, text = sentence.partition(": ")
                subjects = [written_as(subject, host.raw) for subject in subjects.split(", ")]
                if not any(closure(variable_of(subject), host.raw) & reported for subject in subjects):
                    # Other variables that it names as well by what a user writes.
                    text = re.sub(r"\b[a-z]\w+(\.\w+)*", lambda name: written_as(name[0], host.raw), text)
                    problems.append(Problem(", ".join(subjects), text.rstrip(".")))
        return problems

    def template_problems(
        self, host: HostValues, options: dict[str, dict], environment: str, reported: set[str]
    ) -> list[Problem]:
        problems: dict[str, Problem] = {}
        for name in [name for name in options if name in host.errors]:
            if closure(name, host.raw) & reported:
                continue
            for path, (raw, error) in root_causes(name, host.raw, host.fails, self.failed(host)).items():
                option = options.get(variable_of(path), {})
                problems.setdefault(
                    path, template_problem(host, path, raw, error, option, environment, self.specs.known)
                )
        return list(problems.values())

    @staticmethod
    def failed(host: HostValues) -> t.Callable[[str], dict[str, tuple[t.Any, Exception]]]:
        return lambda name: host.pieces(name)[1]
