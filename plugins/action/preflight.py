# MIT License (see LICENSE)
"""Gather on the controller what the checks of plugin_utils/preflight judge, and report all problems at once."""

from __future__ import annotations

import dataclasses
import pathlib
import re
import time
import typing as t
from urllib.parse import quote

import yaml
from ansible.parsing.vault import EncryptedString
from ansible.plugins.action import ActionBase
from ansible_collections.broadcast.stack.plugins.filter.certificate_problems import (
    certificate_problems,
    lacks_chain,
)
from ansible_collections.broadcast.stack.plugins.plugin_utils import authorities
from ansible_collections.broadcast.stack.plugins.plugin_utils.evaluation import (
    HostVariables,
    Outcome,
    role_part,
    role_scope,
)
from ansible_collections.broadcast.stack.plugins.plugin_utils.images.catalog import CatalogError
from ansible_collections.broadcast.stack.plugins.plugin_utils.preflight import application, checks, guarantees, paths
from ansible_collections.broadcast.stack.plugins.plugin_utils.preflight.checks import Problem
from ansible_collections.broadcast.stack.plugins.plugin_utils.templates import closure, references

try:
    # Where a value was written. Private to Ansible, so a report must do without it as well.
    from ansible._internal._datatag._tags import Origin
except ImportError:
    Origin = None

COLLECTION = pathlib.Path(__file__).resolve().parents[2]
LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
# Filled by hand, even where a part of them is a template.
OWN_SECRETS = ("backend_secrets", "backend_secret_env", "backend_release_secrets", "backend_release_secret_env")
UNDEFINED = re.compile(r"'(\w+)' is undefined")
NO_ATTRIBUTE = re.compile(r"has no attribute (?:'([^']*)'|(\S+))")


def load_yaml(path: pathlib.Path) -> dict[str, t.Any]:
    return yaml.load(path.read_text(encoding="utf-8"), Loader=LOADER) or {}


def origin_of(*values: t.Any) -> str:
    """File and line of the first value that knows them, relative to the working directory."""
    for value in values if Origin else ():
        if (tag := Origin.get_tag(value)) and (tag.path or tag.description):
            if not tag.path:
                return tag.description
            path = pathlib.Path(tag.path)
            path = path.relative_to(pathlib.Path.cwd()) if path.is_relative_to(pathlib.Path.cwd()) else path
            return "%s:%s" % (path, tag.line_num) if tag.line_num else str(path)
    return ""


class Specifications:
    """Argument specifications of the stack's shared variables and of the collection's roles."""

    def __init__(self, root: pathlib.Path) -> None:
        shared = load_yaml(root / "meta" / "stack_variables.yml")
        self.stack: dict[str, dict] = shared["argument_specs"]["main"]["options"]
        self.renamed: dict[str, str] = shared.get("renamed_variables") or {}
        self.roles: dict[str, dict[str, dict]] = {}
        self.known: set[str] = set(self.stack)
        for path in sorted(root.glob("roles/*/meta/argument_specs.yml")):
            entries = load_yaml(path)["argument_specs"]
            self.roles[path.parts[-3]] = entries["main"]["options"]
            self.known.update(name for entry in entries.values() for name in entry.get("options") or {})
        # Names of pools, commands and instances are free, so the roles have what one may say beside their variables.
        worker = load_yaml(root / "roles" / "celery_worker" / "vars" / "main.yml")
        redis = load_yaml(root / "roles" / "redis" / "vars" / "main.yml")
        self.entries: dict[str, dict[str, dict]] = {
            "backend_worker_pools": worker["__celery_worker_pool_options"],
            "backend_periodic_commands": worker["__celery_worker_periodic_options"],
            "redis_instances": redis["__redis_instance_options"],
        }
        # The wiring may define helpers that no role takes.
        wiring = root / "group_vars" / "shared.yml"
        if wiring.is_file():
            self.known.update(re.findall(r"^(\w+):", wiring.read_text(encoding="utf-8"), re.M))
        self.prefixes = ["stack_", "backend_", "secret_", *("%s_" % role for role in self.roles)]


def cause(error: BaseException | None, kind: type[BaseException]) -> BaseException | None:
    """The error of a kind that another one was raised from, at whatever distance."""
    while error is not None and not isinstance(error, kind):
        error = error.__cause__ or error.__context__
    return error


class HostValues(HostVariables):
    """A host's variables, with the defaults of those it does not set."""

    def get(self, name: str, options: t.Mapping[str, t.Mapping[str, t.Any]]) -> t.Any:
        """Value of a variable that is well, else its default; None when there is neither."""
        if name in self.raw:
            return None if self.fails(name) else self.values[name]
        default = options.get(name, {}).get("default")
        try:
            return self.template(default)
        # Its cause is a variable that is reported by itself.
        except Exception:
            return None


class ActionModule(ActionBase):
    """Refuse an inventory or a host that cannot work."""

    _requires_connection = False
    _supports_check_mode = True
    _VALID_ARGS = frozenset({"groups", "roles"})

    def run(self, tmp: str | None = None, task_vars: dict[str, t.Any] | None = None) -> dict[str, t.Any]:
        super().run(tmp, task_vars)
        _result, arguments = self.validate_argument_spec(
            argument_spec={
                "groups": {
                    "type": "dict",
                    "required": True,
                },
                "roles": {"type": "list", "elements": "str", "default": []},
            }
        )
        self.specs = Specifications(COLLECTION)
        self.known_groups: dict[str, dict[str, t.Any]] = arguments["groups"]
        self.roles_everywhere: list[str] = arguments["roles"]

        self.inventory_groups: dict[str, list[str]] = task_vars["groups"]
        self.outcomes: dict[str, list[Outcome]] = {}
        self.validated: dict[tuple[str, int], tuple[t.Any, list[Problem]]] = {}
        self.hostvars = hostvars = task_vars["hostvars"]
        hosts = [
            HostValues(name, dict(hostvars.raw_get(name)), self._templar, self.outcomes, hostvars)
            for name in self.inventory_groups["all"]
        ]
        self.observed_between = self.observation_span(hosts)
        self.addresses = {
            host.name: address
            for host in hosts
            if self.roles_of(host) and (address := host.get("stack_private_address", self.specs.stack))
        }
        self.secret_values: set[str] = set()
        problems: list[Problem] = []
        # Hosts of foreign groups are not ours to judge; variables are, even when no host is in the right group.
        judged = [host for host in hosts if self.roles_of(host)] or hosts[:1]
        for host in judged:
            problems += self.host_problems(host, task_vars["ansible_play_hosts_all"])
        problems[:0] = self.stack_problems(hosts)
        problems += self.authority_problems(judged)

        names = [host.name for host in judged]
        errors = checks.report((one for one in problems if not one.warning), names, self.secret_values)
        warnings = checks.report((one for one in problems if one.warning), names, self.secret_values)
        result: dict[str, t.Any] = {"changed": False, **({"warnings": warnings} if warnings else {})}
        observations = [host.raw.get("container_observation") or {} for host in hosts]
        result["reached_all"] = not any(observation.get("unreachable") for observation in observations)
        if errors:
            result["failed"] = True
            count = "1 problem" if len(errors) == 1 else "%d problems" % len(errors)
            result["msg"] = "\n".join(
                ["Preflight found %s; nothing was changed." % count, *("- %s" % line for line in errors)]
            )
        else:
            result["msg"] = "Preflight found no problem on %d host%s." % (len(judged), "" if len(judged) == 1 else "s")
            # Callbacks show the message of a task that is well only when asked for details.
            result["_ansible_verbose_always"] = True
        return result

    def stack_problems(self, hosts: list[HostValues]) -> list[Problem]:
        """What concerns the inventory as a whole."""
        extra = {name for host in hosts for name in self.listed(host, "stack_extra_groups")}
        problems = checks.group_problems(self.inventory_groups, self.known_groups, extra)
        for host in hosts[:1]:
            pools = host.get("backend_worker_pools", self.specs.stack)
            beat = host.get("backend_beat_enabled", self.specs.stack)
            periodic = host.get("backend_periodic_commands", self.specs.stack)
            workers = self.inventory_groups.get("worker", [])
            if isinstance(pools, dict) and isinstance(periodic, dict) and beat is not None:
                problems += application.worker_problems(application.truthy(beat), list(pools), workers, list(periodic))
            volumes = host.get("backend_volumes", self.specs.stack)
            if isinstance(volumes, dict):
                problems += checks.shared_volume_problems(self.inventory_groups, list(volumes))
                media_url = host.get("backend_media_url", self.specs.stack)
                problems += checks.edge_media_problems(self.inventory_groups, list(volumes), media_url)
            # The wiring's own value is a template.
            chosen = not references(host.raw.get("backend_backup_volumes"))
            backed_up = self.listed(host, "backend_backup_volumes")
            problems += checks.backup_host_problems(self.inventory_groups, backed_up, chosen)
            uses = host.get("backend_redis_uses", self.specs.stack)
            problems += application.service_problems(
                self.inventory_groups, host.raw, uses if isinstance(uses, dict) else {}
            )
        return problems

    def authority_problems(self, hosts: list[HostValues]) -> list[Problem]:
        """Authorities on the controller that are not those that the hosts know."""
        kept: dict[tuple[str, str, str], dict[str, t.Any]] = {}
        roots: dict[str, str] = {}
        for host in hosts:
            # What cannot be evaluated has its cause in a variable that is reported by itself.
            for one in host.get("__stack_authorities", {}) or []:
                observation = host.raw.get("container_observation")
                found = kept.setdefault((one["variable"], str(one["directory"]), one["name"]), {})
                if isinstance(observation, dict) and "containers" in observation:
                    found[host.name] = observation
                roots[host.name] = str(host.get("container_root", {}))
        replace = bool(hosts) and hosts[0].get("stack_other_authority", self.specs.stack) == "replace"
        return [
            Problem(variable, text, authorities.REMEDY, directory)
            for (variable, directory, name), observations in kept.items()
            for text in authorities.problems(directory, name, roots, observations, replace)
        ]

    @staticmethod
    def observation_span(hosts: list[HostValues]) -> tuple[float, float]:
        """
        The controller's time in which hosts told theirs. It is now, unless an unreachable host kept the others waiting:
        then the last answer tells how long ago that was.
        """
        now = time.time()
        observations = [one for host in hosts if isinstance(one := host.raw.get("container_observation"), dict)]
        epochs = [one["host"]["epoch"] for one in observations if "host" in one]
        waited = any(one.get("unreachable") for one in observations)
        return (min(now, max(epochs)) if waited and epochs else now), now

    def ports(self, host: HostValues, options: dict[str, dict]) -> list[checks.Port]:
        """Ports that the containers of a host's roles publish."""
        ports = []
        for group_name, group in self.known_groups.items():
            for name in group.get("ports", []) if host.name in self.inventory_groups.get(group_name, []) else []:
                address = host.get(group.get("bind_address", ""), options)
                port = host.get(name, options)
                if str(port).isdigit():
                    ports.append(checks.Port(str(address or ""), int(port), name))
        for name in self.role_options(host):
            for path, text in checks.leaves(host.get(name, options), name):
                if re.search(r"published_ports\[\d+\]$", path):
                    ports += checks.parsed_ports([text], checks.written_as(path.rpartition("[")[0], host.raw))
        return ports

    def role_options(self, host: HostValues) -> dict[str, dict]:
        """
        Variables of the roles that the host runs. What containers are to have is counted there alone: the wiring passes
        it on, so the variable in which a user has written it holds the same a second time.
        """
        return {name: option for role in self.roles_of(host) for name, option in self.specs.roles.get(role, {}).items()}

    def number(self, host: HostValues, name: str) -> int:
        value = host.get(name, self.specs.stack)
        return int(value) if str(value).isdigit() else self.specs.stack[name]["default"]

    def listed(self, host: HostValues, name: str, options: dict[str, dict] | None = None) -> list[str]:
        value = host.get(name, options or self.specs.stack)
        return value if isinstance(value, list) else []

    def host_problems(self, host: HostValues, play_hosts: list[str]) -> list[Problem]:
        options = dict(self.specs.stack)
        for role in self.roles_of(host):
            options.update(self.specs.roles.get(role, {}))
        environment = host.get("stack_environment", options)
        if environment not in options["stack_environment"]["choices"]:
            # An environment that is none gets no leniency.
            environment = ""
        problems = self.name_problems(host)
        broken, found = self.value_problems(host, options, environment)
        problems += found
        problems += self.secret_problems(host, options, environment, broken)
        problems += self.application_problems(host, options, environment, broken)
        problems += self.fleet_problems(host)
        faulty = {checks.variable_of(problem.subject) for problem in problems if not problem.warning}
        problems += self.guarded_problems(host, options, environment, broken, faulty)
        # What a variable with a problem brings down with it is no further problem.
        reported = {checks.variable_of(problem.subject) for problem in problems if not problem.warning}
        problems += self.role_problems(host, reported)
        problems += self.template_problems(host, options, environment, reported)
        problems += self.open_secret_problems(host, options, broken)
        problems = self.located(host, problems)
        if host.name in play_hosts:
            observed = self.observed_problems(host, options)
            if self.left_out(host, options):
                observed = [dataclasses.replace(problem, warning=True) for problem in observed]
            problems += [dataclasses.replace(problem, about_host=True) for problem in observed]
        return [dataclasses.replace(problem, host=host.name) for problem in problems]

    def left_out(self, host: HostValues, options: dict[str, dict]) -> bool:
        """Whether the run goes on without a host that cannot be reached: only where others can do the same work."""
        return (
            bool((host.raw.get("container_observation") or {}).get("unreachable"))
            and host.get("stack_unreachable_hosts", options) == "leave_out"
            and self.is_spare(host)
        )

    def is_spare(self, host: HostValues) -> bool:
        needed = [name for name in self.known_groups if name not in checks.SPARE_GROUPS]
        return not any(host.name in self.inventory_groups.get(name, []) for name in needed)

    def roles_of(self, host: HostValues) -> list[str]:
        groups = [group for group in self.known_groups if host.name in self.inventory_groups.get(group, [])]
        roles = [role for group in groups for role in self.known_groups[group].get("roles", [])]
        return [*(self.roles_everywhere if groups else []), *roles]

    def located(self, host: HostValues, problems: list[Problem]) -> list[Problem]:
        """Problems with the file and line of their variable."""
        keys = {key: key for key in host.raw}
        located = []
        for problem in problems:
            name = checks.variable_of(problem.subject)
            if not problem.origin and name in host.raw:
                # The key's place is that of its first definition, which only an unknown name surely has not overridden.
                origin = origin_of(host.raw[name]) or ("" if name in self.specs.known else origin_of(keys[name]))
                problem = dataclasses.replace(problem, origin=origin)
            located.append(problem)
        return located

    def name_problems(self, host: HostValues) -> list[Problem]:
        accepted = self.listed(host, "stack_extra_variables")
        renamed = checks.renamed_variables(host.raw, self.specs.renamed)
        known = frozenset(self.specs.known | set(self.specs.renamed))
        return renamed + checks.unknown_variables(host.raw, known, self.specs.prefixes, accepted)

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
                    found = [checks.missing_variable(name, option, environment)]
            elif host.fails(name):
                broken.add(name)
            elif host.values[name] is None:
                # An empty value in YAML; Ansible takes it for an absent one.
                if option.get("required") or option.get("default") is not None:
                    found = [checks.missing_variable(name, option, environment)]
            else:
                found = self.option_problems(name, host.values[name], option)
            if found:
                broken.add(name)
                problems += found
        # A variable that only passes on another's value passes on its fault as well.
        inherited = {name for name in broken if closure(name, host.raw) & broken - {name}}
        return broken, [problem for problem in problems if checks.variable_of(problem.subject) not in inherited]

    @staticmethod
    def needed(host: HostValues, name: str, options: dict[str, dict]) -> bool:
        """A secret that nothing on the host refers to is one of a service that the stack does without."""
        others = [other for other in options if other in host.raw] if name.startswith("secret_") else []
        return not others or any(name in closure(other, host.raw) for other in others)

    def option_problems(self, name: str, value: t.Any, option: dict[str, t.Any]) -> list[Problem]:
        """Judged once for all hosts that share an outcome, which is why the object and not its value is the key."""
        _value, problems = self.validated.get((name, id(value)), (None, None))
        if problems is None:
            problems = checks.option_problems(name, value, option)
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
            # What is left of a variable that fails may hold secrets as well, which no message may quote.
            value = host.values[name] if name in host.values else host.pieces(name)[0]
            no_log = checks.is_secret(name, option)
            for path, text in checks.secret_leaves(value, {**option, "no_log": no_log}, name):
                self.secret_values.add(str(text))
                if name in broken:
                    continue
                if name.startswith("secret_"):
                    ours[path] = str(text)
                # A template passes on what is judged where it is written; an empty string means "not used".
                elif path == name:
                    if not references(host.raw[name]) and text:
                        ours[path] = str(text)
                elif not references(host.raw[name]) or name in OWN_SECRETS:
                    extra[path] = str(text)
        for name in [name for name, text in ours.items() if "-----BEGIN" in text]:
            # Keys and certificates are judged by what they are for.
            del ours[name]
        return checks.secret_problems(ours, extra, environment)

    def application_problems(
        self, host: HostValues, options: dict[str, dict], environment: str, broken: set[str]
    ) -> list[Problem]:
        # Those of Redis are judged with the application's uses of them wherever it runs.
        names = [name for name in (*self.specs.stack, "redis_instances") if name not in broken]
        values = {name: value for name in names if (value := host.get(name, options)) is not None}
        values["stack_environment"] = environment
        secrets = self.stack_secrets(host, broken)
        self.secret_values.update(form for secret in secrets.values() for form in (secret, quote(secret, safe="")))
        problems = application.application_problems(values, options, self.specs.entries, secrets)
        problems += application.unquoted_problems(host.raw)
        if "backend_redis_uses" in values:
            problems += application.redis_reference_problems(host.raw, values["backend_redis_uses"])
        if application.truthy(host.get("stack_fleet", options)):
            problems += application.plain_redis_problems(host.raw)
        faulty = {checks.variable_of(problem.subject) for problem in problems}
        problems = [one for one in problems if not checks.passed_on(one.subject, host.raw, faulty)]
        if host.get("nginx_tls_certificate_source", options) == "files":
            names = ["nginx_tls_certificate", "nginx_tls_certificate_key", "nginx_tls_server_names"]
            served = [host.get(name, options) for name in names if name not in broken]
            if len(served) == len(names) and None not in served:
                certificate, key, server_names = served
                server_names = server_names + self.listed(host, "nginx_tls_redirect_names", options)
                remedy = "give the pair that belongs to your domains"
                sentences = certificate_problems(certificate, key, server_names)
                problems += [Problem(names[0], sentence, remedy) for sentence in sentences]
                if lacks_chain(certificate):
                    text = "has no chain, without which clients know its issuer only when it is an authority of theirs"
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
        found = application.secret_name_problems(values)
        values = {name: value for name, value in values.items() if not checks.is_secret(name, options.get(name, {}))}
        return found + application.contained_secret_problems(values, self.stack_secrets(host, broken), found)

    def guarded_problems(
        self, host: HostValues, options: dict[str, dict], environment: str, broken: set[str], faulty: set[str]
    ) -> list[Problem]:
        """Paths and names that are written or deleted by, and guarantees that the inventory gives up."""
        names = dict.fromkeys((*options, *guarantees.SSH, *filter(paths.judged, host.raw)))
        values = {name: host.get(name, options) for name in names if name not in broken}
        problems = paths.path_problems({name: value for name, value in values.items() if paths.judged(name)})
        problems += guarantees.guarantee_problems(values, environment)
        faulty = faulty | {checks.variable_of(problem.subject) for problem in problems}
        return [one for one in problems if not checks.passed_on(one.subject, host.raw, faulty)]

    def role_problems(self, host: HostValues, reported: set[str]) -> list[Problem]:
        """What the host's roles would refuse by themselves, when others have changed it: their __<role>_problems."""
        problems = []
        for role in dict.fromkeys(self.roles_of(host)):
            name = "__%s_problems" % role
            if name not in role_part(role, "vars", self._loader):
                continue
            scope = role_scope(role, host.raw, self._loader)
            variables = HostVariables(host.name, scope, self._templar, self.outcomes, self.hostvars)
            # A list that cannot be evaluated has its cause in a variable that is reported by itself.
            for sentence in [] if variables.fails(name) else variables.values[name]:
                subjects, _colon, text = sentence.partition(": ")
                subjects = [checks.written_as(subject, host.raw) for subject in subjects.split(", ")]
                if not any(closure(checks.variable_of(subject), host.raw) & reported for subject in subjects):
                    # Other variables that it names as well by what a user writes.
                    text = re.sub(r"\b[a-z]\w+", lambda name: checks.written_as(name[0], host.raw), text)
                    problems.append(Problem(", ".join(subjects), text.rstrip(".")))
        return problems

    def template_problems(
        self, host: HostValues, options: dict[str, dict], environment: str, reported: set[str]
    ) -> list[Problem]:
        problems: dict[str, Problem] = {}
        for name in [name for name in options if name in host.errors]:
            if closure(name, host.raw) & reported:
                continue
            for path, (raw, error) in checks.root_causes(name, host.raw, host.fails, self.failed(host)).items():
                option = options.get(checks.variable_of(path), {})
                problems.setdefault(path, self.template_problem(host, path, raw, error, option, environment))
        return list(problems.values())

    @staticmethod
    def failed(host: HostValues) -> t.Callable[[str], dict[str, tuple[t.Any, Exception]]]:
        return lambda name: host.pieces(name)[1]

    def template_problem(
        self, host: HostValues, path: str, raw: t.Any, error: Exception, option: dict, environment: str
    ) -> Problem:
        if isinstance(raw, EncryptedString) or "undecryptable" in str(error):
            remedy = "put the password it was encrypted with into .vault-password-%s" % (environment or "<environment>")
            return Problem(path, "cannot be decrypted", remedy)
        if fault := cause(error, CatalogError):
            # It names the variable and the remedy itself.
            subject, _colon, text = str(fault).partition(": ")
            return Problem(subject, text.rstrip("."))
        if undefined := UNDEFINED.search(str(error)):
            missing = undefined.group(1)
            advice = checks.suggestion(missing, self.specs.known | set(host.raw)) or "define it"
            return Problem(path, "refers to %s, which is not defined" % missing, advice)
        if (found := NO_ATTRIBUTE.search(str(error))) and (attribute := found[1] or found[2]) in str(raw):
            # As it is written, so it is not the value of a secret.
            return self.attribute_problem(host, path, str(raw), attribute)
        if checks.is_secret(checks.variable_of(path), option):
            # The message of an error may quote what it could not read.
            return Problem(path, "cannot be evaluated (%s)" % type(error).__name__, "check its template")
        reason = checks.one_line(str(error))
        return Problem(path, "cannot be evaluated: %s" % reason.rstrip("."), "check its template")

    @staticmethod
    def attribute_problem(host: HostValues, path: str, raw: str, attribute: str) -> Problem:
        """A template that asks a variable, or a part of one, for what it has not."""
        owner = re.search(r"([\w.]+)(?:\.|\[\s*['\"]?)%s\b" % re.escape(attribute), raw)
        name = owner[1] if owner else ""
        text = "refers to %s, which does not exist" % (".".join(filter(None, [name, attribute])))
        value: t.Any = None
        if checks.variable_of(name) in host.raw and not host.fails(checks.variable_of(name)):
            value = host.values[checks.variable_of(name)]
            for step in name.split(".")[1:]:
                value = value.get(step) if isinstance(value, dict) else None
        keys = [str(key) for key in value] if isinstance(value, dict) else []
        advice = checks.suggestion(attribute, keys, 0.6) or ("it has %s" % ", ".join(keys) if keys else "")
        return Problem(path, text, advice or "check its template")

    def fleet_problems(self, host: HostValues) -> list[Problem]:
        if not application.truthy(host.get("stack_fleet", self.specs.stack)) or host.name not in self.addresses:
            return []
        observation = host.raw.get("container_observation")
        facts = observation.get("host", {}) if isinstance(observation, dict) else {}
        others = {name: address for name, address in self.addresses.items() if name != host.name}
        address = str(self.addresses[host.name])
        found = checks.private_address_problems(address, others, facts.get("addresses", []))
        return [dataclasses.replace(problem, about_host=True) for problem in found]

    def observed_problems(self, host: HostValues, options: dict[str, dict]) -> list[Problem]:
        observation = host.raw.get("container_observation")
        problems = checks.observation_problems(observation, spare=self.is_spare(host))
        if problems:
            return problems
        stack = host.get("stack_name", options)
        facts = observation["host"]
        problems += checks.shared_root_problems(observation, stack, str(host.get("container_root", options) or ""))
        problems += checks.engine_problems(observation["engine"])
        problems += checks.port_problems(self.ports(host, options), observation, stack)
        problems += checks.disk_problems(facts["docker_free_mb"], self.number(host, "stack_docker_free_mb_min"))
        skew = self.number(host, "stack_clock_skew_max_seconds")
        problems += checks.clock_problems(facts["epoch"], *self.observed_between, skew)
        networks = host.get("docker_host_networks", options)
        if isinstance(networks, list):
            address = host.get("ansible_host", {})
            problems += checks.network_problems(
                networks, observation.get("networks", {}), facts.get("routes", []), [address] if address else []
            )
        limits = sum(checks.memory_limits(host.get(name, options), name) for name in self.role_options(host))
        problems += checks.memory_problems(limits, facts["memory_mb"])
        return problems
