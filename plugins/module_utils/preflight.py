# MIT License (see LICENSE)
"""The checks of preflight as pure functions of plain data; none reads or changes a host."""

from __future__ import annotations

import dataclasses
import difflib
import functools
import inspect
import ipaddress
import os
import re
import typing as t
from urllib.parse import quote

from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible_collections.broadcast.stack.plugins.module_utils.cron import CronError, Schedule

MINIMUM_SECRET_LENGTH = 16
MINIMUM_SECRET_CHARACTERS = 6
MINIMUM_CONTAINED_LENGTH = 8
MINIMUM_MEMORY_MB = 16
MINIMUM_API_VERSION = (1, 41)
# Variables that roles register on hosts; inventories do not set them.
RUNTIME_VARIABLES = frozenset({"container_observation", "container_run_result"})
PLACEHOLDERS = frozenset(
    """
    admin changeit default dummy empty example foobar letmein none null password passw0rd placeholder postgres private
    qwerty redis replace root secret secretkey superuser test testing todo unset xxx yourpassword yoursecret
    """.split()  # noqa: SIM905 - a list of words, not of syntax
)
PLACEHOLDER_PARTS = (
    "changeme",
    "djangoinsecure",
    "placeholder",
    "replaceme",
    "replacethis",
    "yourpassword",
    "yoursecret",
)
# Not decided by how strong a secret is, so it holds in every environment.
UNUSABLE = ("is empty", "is vault text that was not decrypted")
SHAPES = {"list": "list", "dict": "dict", **dict.fromkeys(("str", "path", "int", "float", "bool"), "scalar")}
# More edits than these make another word, not a misspelling.
MISSPELLING_EDITS = 2
SECRET_NAME = re.compile("(PASSWORD|PASSWD|SECRET|SECRET_KEY|TOKEN|API_KEY|PRIVATE_KEY|ACCESS_KEY|DSN)$", re.I)
STACK_NAME = re.compile(r"[a-z][a-z0-9-]{0,30}[a-z0-9]")
DOMAIN_LABEL = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
STRING_LITERAL = re.compile(r"'[^']*'|\"[^\"]*\"")
# The variable that a query of this lookup evaluates; it is named by text.
EACH = re.compile(r"broadcast\.stack\.each['\"],\s*['\"](\w+)['\"]")
TEMPLATE = re.compile(r"\{\{.*?\}\}|\{%.*?%\}", re.S)
INCLUDED = re.compile(r"^\s*(?:-[rc]\s*|--(?:requirement|constraint)[\s=]\s*)([^\s#]+)", re.M)
UNITS_MB = {"": 1 / 2**20, "b": 1 / 2**20, "k": 1 / 2**10, "m": 1, "g": 2**10}


@dataclasses.dataclass(frozen=True)
class Problem:
    """One thing that is wrong: what, the value unless it is secret, what to do, and where."""

    subject: str
    text: str
    remedy: str = ""
    value: str = ""
    origin: str = ""
    host: str = ""
    # About a host itself: named even when all hosts or the only one have it.
    about_host: bool = False
    warning: bool = False

    def line(self, hosts: t.Sequence[str] = (), secrets: t.Collection[str] = ()) -> str:
        """One line; secrets are masked before anything is cut, so that no part of one remains."""
        where = ", ".join(hosts)
        origin = " (%s)" % self.origin if self.origin else ""
        value = " = %s" % cut(masked(self.value, secrets), 100) if self.value else ""
        subject = self.subject + value + origin
        text = cut(masked(self.text, secrets), 300)
        remedy = "; %s" % self.remedy if self.remedy else ""
        line = ": ".join(part for part in (where, subject, text) if part) + remedy
        return line if line.endswith("?") else line + "."


def variable_of(subject: str) -> str:
    """The variable that a problem is about: the first part of its subject."""
    return re.split(r"[.\[]", subject, maxsplit=1)[0]


def one_line(text: str) -> str:
    return " ".join(text.split())


def cut(text: str, limit: int) -> str:
    return text if len(text) <= limit else text[: limit - 1] + "…"


def masked(text: str, secrets: t.Collection[str]) -> str:
    for secret in sorted(map(one_line, secrets), key=len, reverse=True):
        # Shorter ones are words of the report; a secret that short is a problem of its own.
        if len(secret) >= 6:
            text = text.replace(secret, "********")
    return text


def shown(value: t.Any) -> str:
    """A value as it appears in a report."""
    return one_line(value if isinstance(value, str) and value else repr(value))


def report(problems: t.Iterable[Problem], hosts: t.Collection[str], secrets: t.Collection[str] = ()) -> list[str]:
    """
    One line per problem. What several hosts share is one line, which names no host when all share it; the value of a
    secret is in none.
    """
    grouped: dict[Problem, list[str]] = {}
    for problem in problems:
        found = grouped.setdefault(dataclasses.replace(problem, host=""), [])
        if problem.host and problem.host not in found:
            found.append(problem.host)
    return [
        problem.line([] if len(found) == len(hosts) and not problem.about_host else found, secrets)
        for problem, found in grouped.items()
    ]


# Names ----------------------------------------------------------------------------------------------------------------


def edits(left: str, right: str) -> int:
    """Damerau-Levenshtein distance (adjacent letters swapped count as one edit)."""
    rows = [list(range(len(right) + 1))]
    for i, a in enumerate(left, 1):
        row = [i]
        for j, b in enumerate(right, 1):
            cost = min(row[j - 1] + 1, rows[i - 1][j] + 1, rows[i - 1][j - 1] + (a != b))
            if i > 1 and j > 1 and a == right[j - 2] and left[i - 2] == b:
                cost = min(cost, rows[i - 2][j - 2] + 1)
            row.append(cost)
        rows.append(row)
    return rows[-1][-1]


def suggestion(name: str, known: t.Iterable[str], cutoff: float = 0.75) -> str:
    found = difflib.get_close_matches(name, sorted(known), n=1, cutoff=cutoff)
    return "did you mean %s?" % found[0] if found else ""


@functools.lru_cache(maxsize=1024)
def misspelt(name: str, known: frozenset[str]) -> str:
    """The known name that this one was meant to be, or nothing; short names have too many neighbours to say."""
    close = difflib.get_close_matches(name, known, n=1, cutoff=0.85)
    if close and len(name) > 2 * MISSPELLING_EDITS and edits(name, close[0]) <= MISSPELLING_EDITS:
        return close[0]
    return ""


def unknown_variables(
    defined: t.Iterable[str], known: t.Collection[str], prefixes: t.Collection[str], accepted: t.Collection[str] = ()
) -> list[Problem]:
    """Variables in one of our rooms that no room has, and near misses of a room's name."""
    problems = []
    for name in sorted(set(defined) - set(known) - set(accepted) - RUNTIME_VARIABLES):
        if name.startswith(("_", "ansible_")):
            continue
        if name.startswith(tuple(prefixes)):
            advice = suggestion(name, known) or "remove it or see the table of variables"
            problems.append(Problem(name, "unknown variable", advice + accept_advice(name)))
        elif meant := misspelt(name, frozenset(known)):
            problems.append(Problem(name, "looks misspelt", "did you mean %s?%s" % (meant, accept_advice(name))))
    return problems


def accept_advice(name: str) -> str:
    return " (if it is yours, list %s in stack_extra_variables)" % name


def renamed_variables(defined: t.Collection[str], renamed: t.Mapping[str, str]) -> list[Problem]:
    return [
        Problem(old, "was renamed", "set %s instead" % new) for old, new in sorted(renamed.items()) if old in defined
    ]


# Templates ------------------------------------------------------------------------------------------------------------


def references(value: t.Any) -> set[str]:
    """Names that the templates in a raw value may refer to (string literals and attributes apart)."""
    if isinstance(value, str):
        code = " ".join(TEMPLATE.findall(value))
        code = re.sub(r"\.\s*[A-Za-z_]\w*", "", STRING_LITERAL.sub("", code))
        return {*IDENTIFIER.findall(code), *EACH.findall(value)}
    if isinstance(value, t.Mapping):
        return set().union(*(references(item) for pair in value.items() for item in pair))
    if isinstance(value, (list, tuple)):
        return set().union(*map(references, value))
    return set()


def closure(name: str, raw: t.Mapping[str, t.Any]) -> set[str]:
    """All variables that a variable's value depends on, itself included, undefined ones too."""
    found, todo = {name}, [name]
    while todo:
        current = todo.pop()
        fresh = references(raw[current]) - found if current in raw else set()
        found |= fresh
        todo += fresh
    return found


def passed_on(subject: str, raw: t.Mapping[str, t.Any], faulty: t.Collection[str]) -> bool:
    """Whether what a problem is about comes by a template from another variable, which has a problem itself."""
    name = variable_of(subject)
    for path, text in leaves(raw.get(name), name):
        # Scalars of a list are told without their index.
        places = path, path.rpartition("[")[0] if path.endswith("]") else path
        if subject in places or subject.startswith((path + ".", path + "[")):
            for other in references(text) - {name}:
                if not closure(other, raw).isdisjoint(faulty):
                    return True
    return False


def root_cause(name: str, raw: t.Mapping[str, t.Any], fails: t.Callable[[str], bool]) -> str:
    """The variable at the bottom of a failed template: it fails, and nothing that it refers to does."""
    seen = {name}
    while True:
        for candidate in sorted(references(raw[name])):
            if candidate in raw and candidate not in seen and fails(candidate):
                seen.add(candidate)
                name = candidate
                break
        else:
            return name


# Values ---------------------------------------------------------------------------------------------------------------


def missing_variable(name: str, option: t.Mapping[str, t.Any], environment: str) -> Problem:
    if name.startswith("secret_"):
        return Problem(name, "missing", secret_remedy(environment))
    return Problem(name, "missing", "set it: %s" % str(option.get("description", "")).rstrip("."))


def shape(value: t.Any) -> str:
    return "dict" if isinstance(value, t.Mapping) else "list" if isinstance(value, (list, tuple)) else "scalar"


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


def secret_remedy(environment: str) -> str:
    if environment == "dev":
        return "dev generates it in inventories/dev/group_vars/all/20_secrets.yml: restore that file"
    return "`make secrets ENV=%s` creates a strong one" % (environment or "<environment>")


def shown_type(option: t.Mapping[str, t.Any]) -> str:
    kind = option.get("type", "str")
    kind = "%s of %s" % (kind, option["elements"]) if option.get("elements", "raw") != "raw" else kind
    return kind if not option.get("choices") else "one of %s" % ", ".join(map(str, option["choices"]))


def leaves(value: t.Any, name: str = "") -> t.Iterator[tuple[str, str]]:
    """Text leaves of a value with the path that leads to each."""
    if isinstance(value, t.Mapping):
        for key, item in value.items():
            yield from leaves(item, "%s.%s" % (name, key) if name else str(key))
    elif isinstance(value, (list, tuple)):
        for index, item in enumerate(value):
            yield from leaves(item, "%s[%d]" % (name, index))
    elif isinstance(value, str):
        yield name, value


def secret_leaves(value: t.Any, option: t.Mapping[str, t.Any], name: str) -> t.Iterator[tuple[str, str]]:
    """Text leaves that are secret: below no_log, or nested options that are."""
    if option.get("no_log"):
        yield from leaves(value, name)
    elif option.get("options"):
        for item in value if isinstance(value, (list, tuple)) else [value]:
            for key, nested in option["options"].items():
                if isinstance(item, t.Mapping) and key in item:
                    yield from secret_leaves(item[key], nested, "%s.%s" % (name, key))
    else:
        # A dictionary of free names has no nested options; its passwords are known by their keys.
        for path, text in leaves(value, name):
            if SECRET_NAME.search(path):
                yield path, text


def is_secret(name: str, option: t.Mapping[str, t.Any]) -> bool:
    return bool(option.get("no_log")) or name.startswith("secret_")


def placeholder(name: str, value: str) -> str:
    """Why a value cannot be a secret whatever its length; nothing when it can."""
    plain = re.sub(r"[^a-z0-9]", "", value.lower())
    own = re.sub(r"[^a-z0-9]", "", name.lower())
    if not value.strip():
        return UNUSABLE[0]
    if value.lstrip().startswith("$ANSIBLE_VAULT;"):
        return UNUSABLE[1]
    # A whole file may hold such a word.
    if "\n" in value.strip():
        return ""
    if plain in PLACEHOLDERS or any(part in plain for part in PLACEHOLDER_PARTS) or re.fullmatch("<.*>|x+", value):
        return "is a placeholder"
    if plain in (own, own.removeprefix("secret")):
        return "is its own name"
    return ""


def weakness(name: str, value: str) -> str:
    if reason := placeholder(name, value):
        return reason
    if len(value) < MINIMUM_SECRET_LENGTH:
        return "is shorter than %d characters" % MINIMUM_SECRET_LENGTH
    if len(set(value)) < MINIMUM_SECRET_CHARACTERS:
        return "repeats few characters"
    return ""


def secret_problems(secrets: t.Mapping[str, str], extra: t.Mapping[str, str], environment: str) -> list[Problem]:
    """
    Judge secrets: ours must be strong and all different; those of the application (extra), whose shape their provider
    decides, must only be no placeholders. Dev may use whatever is not empty.
    """
    problems = []
    for judged, judge in ((secrets, weakness), (extra, placeholder)):
        for name, value in judged.items():
            reason = judge(name, value)
            if not reason or (environment == "dev" and reason not in UNUSABLE):
                continue
            remedy = secret_remedy(environment) if name.startswith("secret_") else "give a real one"
            if "vault" in reason:
                remedy = "tag it `!vault |` or encrypt the whole file"
            elif name.startswith("secret_") and environment != "dev":
                remedy = "remove the line and run `make secrets ENV=%s`" % (environment or "<environment>")
            problems.append(Problem(name, reason, remedy))
    if environment != "dev":
        for value in set(secrets.values()):
            same = sorted(name for name, other in secrets.items() if other == value)
            if len(same) > 1 and value.strip():
                text = "has the same value as %s" % ", ".join(same[:-1])
                problems.append(Problem(same[-1], text, "give each secret a value of its own"))
    return problems


# The inventory's groups -----------------------------------------------------------------------------------------------


def group_problems(
    groups: t.Mapping[str, t.Sequence[str]], known: t.Mapping[str, t.Mapping[str, t.Any]], extra: t.Collection[str] = ()
) -> list[Problem]:
    """known: group name -> {roles, required (bool), hosts_max (int), hint}."""
    problems = []
    for name in sorted(set(groups) - set(known) - set(extra) - {"all", "ungrouped"}):
        advice = suggestion(name, known, 0.6) or "known groups are %s" % ", ".join(known)
        problems.append(
            Problem("group %s" % name, "unknown", advice + " (if it is yours, list it in stack_extra_groups)")
        )
    for name, group in known.items():
        hosts = groups.get(name, [])
        if not hosts and group.get("required"):
            problems.append(Problem("group %s" % name, "has no host", "add one to the inventory's hosts.yml"))
        if not hosts and group.get("advice"):
            problems.append(Problem("group %s" % name, "has no host", group["advice"], warning=True))
        limit = group.get("hosts_max", 0)
        if limit and len(hosts) > limit:
            text = "has %d hosts where %d can serve" % (len(hosts), limit)
            problems.append(Problem("group %s" % name, text, "keep one", value=", ".join(hosts)))
    placed = sorted({host for name in known for host in groups.get(name, [])})
    if len(placed) > 1:
        text = "spread the stack over %d hosts, whose services could not reach each other" % len(placed)
        problems.append(Problem("groups", text, "name the same host in every group", value=", ".join(placed)))
    grouped = {host for name, hosts in groups.items() if name not in ("all", "ungrouped") for host in hosts}
    for host in groups.get("all", []):
        if host not in grouped:
            problems.append(Problem(host, "is in no group", "put it into one of %s" % ", ".join(known)))
    return problems


# The stack ------------------------------------------------------------------------------------------------------------


def stack_name_problems(stack_name: str) -> list[Problem]:
    if not STACK_NAME.fullmatch(stack_name):
        remedy = "use 2 to 32 lower-case letters, digits and hyphens, a letter first, no hyphen last"
        return [Problem("stack_name", "not a name for containers and networks", remedy, shown(stack_name))]
    if not re.search(r"[^0-9a-f]", stack_name):
        remedy = "add a letter beyond f, since Docker would take such a name for the beginning of a container's id"
        return [Problem("stack_name", "consists of hexadecimal digits only", remedy, shown(stack_name))]
    return []


def subnet_prefix_problems(stack_subnet_prefix: str) -> list[Problem]:
    remedy = 'give the first three octets of a private network, such as "10.213.77"'
    try:
        network = ipaddress.ip_network(stack_subnet_prefix + ".0/24")
    except ValueError:
        return [Problem("stack_subnet_prefix", "not three octets", remedy, shown(stack_subnet_prefix))]
    if stack_subnet_prefix.count(".") != 2:
        return [Problem("stack_subnet_prefix", "not three octets", remedy, shown(stack_subnet_prefix))]
    if not network.is_private or network.is_loopback or network.is_link_local:
        return [Problem("stack_subnet_prefix", "not a private network", remedy, shown(stack_subnet_prefix))]
    return []


def network_problems(
    wanted: t.Sequence[t.Mapping[str, t.Any]],
    networks: t.Mapping[str, t.Mapping[str, t.Any]],
    routes: t.Sequence[t.Mapping[str, str]],
    addresses: t.Collection[str] = (),
) -> list[Problem]:
    """The stack's subnets against other Docker networks, the host's own networks and its addresses."""
    remedy = "choose another stack_subnet_prefix"
    own = {network["name"] for network in wanted}
    docker = {ipaddress.ip_network(row["subnet"]) for row in networks.values() if row.get("subnet")}
    problems = []
    for network in wanted:
        subnet = parsed_network(network.get("subnet", ""))
        if subnet is None:
            continue
        value = "%s %s" % (network["name"], subnet)
        for name, row in sorted(networks.items()):
            other = parsed_network(row.get("subnet", ""))
            if name not in own and other and overlap(subnet, other):
                text = "overlaps Docker's network %s (%s)" % (name, other)
                problems.append(Problem("stack_subnet_prefix", text, remedy, value))
        for route in routes:
            other = parsed_network(route["network"])
            # The default route covers everything and collides with nothing.
            if other and other.prefixlen and other not in docker and overlap(subnet, other):
                text = "overlaps the host's network %s on %s" % (other, route["interface"])
                problems.append(Problem("stack_subnet_prefix", text, remedy, value))
        for address in addresses:
            other = parsed_network(address)
            if other and overlap(subnet, other):
                text = "contains the host's address %s" % address
                problems.append(Problem("stack_subnet_prefix", text, remedy, value))
    return problems


def parsed_network(text: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network | None:
    try:
        return ipaddress.ip_network(text, strict=False)
    except ValueError:
        return None


def overlap(one: t.Any, other: t.Any) -> bool:
    return one.version == other.version and one.overlaps(other)


# The application: single values ---------------------------------------------------------------------------------------


def like(pattern: str) -> t.Callable[[t.Any], bool]:
    """A scalar that matches as a whole; compiled by its first use, since most variables keep their empty default."""
    return lambda value: shape(value) == "scalar" and re.fullmatch(pattern, str(value)) is not None


def between(low: float, high: float = float("inf")) -> t.Callable[[t.Any], bool]:
    def valid(value: t.Any) -> bool:
        try:
            return not isinstance(value, bool) and low <= float(value) <= high
        except (TypeError, ValueError):
            return False

    return valid


def is_command(value: t.Any) -> bool:
    """Arguments; the first one, the program, is one word."""
    words = value if isinstance(value, (list, tuple)) else []
    return (
        bool(words)
        and all(shape(word) == "scalar" for word in words)
        and re.fullmatch(r"\S+", str(words[0])) is not None
    )


def is_requirement(value: t.Any) -> bool:
    text = re.sub(r"\s+--hash[= ]\S+", "", str(value)).strip()
    try:
        from packaging.requirements import InvalidRequirement, Requirement
    except ImportError:
        return re.match(r"[A-Za-z0-9][A-Za-z0-9._-]*\s*(\[[^]]*\])?\s*($|[@;(<>=!~])", text) is not None
    try:
        return bool(Requirement(text))
    except InvalidRequirement:
        return False


def is_schedule(value: t.Any) -> bool:
    try:
        return bool(Schedule(str(value)))
    except CronError:
        return False


def is_text(value: t.Any) -> bool:
    return value is not None and shape(value) == "scalar"


def is_directives(value: t.Any) -> bool:
    """Directives of nginx: every brace has its partner and nothing is left open at the end."""
    if not isinstance(value, str):
        return False
    code = re.sub(r"\"(\\.|[^\"\\])*\"|'(\\.|[^'\\])*'|(^|\s)#[^\n]*", " ", value)
    depths = [code[: place.end()].count("{") - code[: place.end()].count("}") for place in re.finditer("[{}]", code)]
    return code.rstrip().endswith((";", "}")) and min(depths, default=0) >= 0 and not (depths and depths[-1])


def host_name_fault(name: t.Any) -> tuple[str, str] | None:
    """Why a name is none of a host, and what to do."""
    name = str(name)
    if "://" in name or "/" in name:
        return "is a URL", "give the host name alone"
    if "*" in name or name.startswith("."):
        return "is a wildcard", "name every host: Django and the certificate check them one by one"
    if re.search(r":\d*$", name) and name.count(":") == 1:
        return "has a port", "give the host name alone"
    if parsed_network(name) or (len(name) < 254 and all(map(DOMAIN_LABEL.fullmatch, name.split(".")))):
        return None
    return "is no host name", "use lower-case letters, digits, hyphens and dots"


# Absolute and normal, and fit for Docker's source:target:mode.
PATH = r"(/(?!\.{1,2}(/|$))[^/:\s]+)+"
URL_PATH = r"/([^\s{};\"'/]+/)+"
MODULE = r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*"
PACKAGE = r"[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?"


class Rule(t.NamedTuple):
    """
    What every value at some places must be, else what the report says: the fault; the remedy. The steps of a place are
    separated by dots; the step * is every item, @ is every key.
    """

    valid: t.Callable[[t.Any], bool]
    says: str
    places: tuple[str, ...]


def each(names: t.Iterable[str], *steps: str) -> tuple[str, ...]:
    """The places at these steps below each of the names."""
    return tuple(".".join((name, *steps)) for name in names)


# Options of a pool that only Celery's own command is given.
OF_CELERY = {"queues", "pool", "time_limit", "soft_time_limit", "max_tasks_per_child", "prefetch_multiplier"}
RELEASES = ("backend_release_commands", "backend_release_commands_after")
CONTAINERS = ("backend_worker_pools", "backend_periodic_commands", "backend_processes")
ENVIRONMENTS = (
    *("backend_env", "backend_default_env", "backend_build_env", "backend_release_env"),
    *each((*CONTAINERS, *RELEASES), "*", "env"),
)
SECRETS = ("backend_secrets", "backend_default_secrets", "backend_release_secrets")
FILES = ("backend_files", "backend_secret_files")

# In the order of meta/stack_variables.yml. The first rule that a value breaks is the one that is reported.
RULES = (
    # 1. Source
    Rule(
        like(r"|(?!/)(?!(.*/)?\.\.(/|$)).+"),
        "leads out of backend_context; give a path relative to it, since nothing else is sent to the build",
        ("backend_requirements", "backend_requirements_dev", "backend_constraints"),
    ),
    Rule(like(PACKAGE), "not the name of an extra; give names without brackets", ("backend_extras.*",)),
    Rule(
        is_requirement,
        "not a requirement; write it as acme-shop[postgres]==1.2 or acme-shop @ https://...",
        ("backend_packages.*",),
    ),
    Rule(
        like(PACKAGE),
        "not the name of a package; give names alone, without versions and extras",
        ("backend_wheels_only_except.*",),
    ),
    # 2. Python and system
    Rule(
        like(r"[a-z0-9][a-z0-9+.-]+(:[a-z0-9]+)?(=[A-Za-z0-9.+~:-]+)?"),
        "not the name of a Debian package; give names as for apt-get install, such as libpango-1.0-0",
        ("backend_system_packages.*", "backend_build_packages.*"),
    ),
    Rule(
        like(r"[1-9]\d*:\d+"),
        'not the uid:gid of an unprivileged user; write numbers in quotes, such as "10003:10003"',
        ("backend_user",),
    ),
    # 3. Commands
    Rule(
        like(r"/\S*"),
        "not an absolute path; write it as /app",
        (
            "backend_working_dir",
            *each(("backend_periodic_commands", "backend_processes", *RELEASES), "*", "working_dir"),
        ),
    ),
    Rule(like("|" + MODULE), "not a Python module; write it as config.settings", ("backend_settings_module",)),
    Rule(bool, "empty; give the command, such as [python, manage.py]", ("backend_manage",)),
    Rule(
        # Gunicorn calls a factory, with arguments too.
        like(r"|%s:%s(\(.*\))?" % (MODULE, MODULE)),
        "not module:callable; write it as config.wsgi:application",
        ("backend_wsgi", "backend_asgi"),
    ),
    Rule(
        lambda value: not value or is_command(value),
        "not a command; begin with the program alone and give each argument an item of its own",
        (
            *("backend_manage", "backend_web_command", "backend_worker_command", "backend_beat_command"),
            *("backend_static_command", "backend_worker_pools.*.command"),
        ),
    ),
    Rule(between(1, 65535), "not a port; give a number from 1 to 65535", ("backend_web_port",)),
    Rule(
        like(r"|%s(:%s)?" % (MODULE, MODULE)),
        "not a Celery application; write it as for celery --app, such as config or config.celery:app",
        ("backend_celery_app",),
    ),
    # 4. Environment
    Rule(
        like(r"[A-Za-z_][A-Za-z0-9_]*"),
        "not the name of an environment variable; use letters, digits and underscores, no digit first",
        each((*ENVIRONMENTS, "backend_secret_env"), "@"),
    ),
    Rule(
        lambda value: is_text(value) and not re.search(r"[\r\n\0]", str(value)),
        "not a value on one line; give text or a number: longer texts belong in backend_files or backend_secret_files",
        each(ENVIRONMENTS, "*"),
    ),
    Rule(between(0, 15), "not a database of Redis; give a number from 0 to 15", ("backend_redis_uses.*.database",)),
    # 5. Secrets and files
    Rule(is_text, "not a text; turn other values into text with the filter to_json", ("backend_secret_env.*",)),
    Rule(
        like(r"(?!\.)[\w.-]+"),
        "not a name in /run/secrets; use letters, digits, dots, hyphens and underscores, and backend_secret_files for "
        "other directories",
        each(SECRETS, "@"),
    ),
    Rule(
        is_text,
        "not a text; content, mode and owner are for backend_secret_files",
        each(SECRETS, "*"),
    ),
    Rule(
        like(PATH), "not an absolute path; write it as /etc/acme/settings.ini, in its shortest form", each(FILES, "@")
    ),
    Rule(
        like(r"(?!/run/(secrets|config)(/|$)).*"),
        "lies in a directory of the stack's own; use backend_secrets for a file in /run/secrets, or another path",
        each(FILES, "@"),
    ),
    Rule(
        # YAML takes 0440 without quotes for the number 288.
        lambda value: isinstance(value, str) and re.fullmatch("[0-7]{3,4}", value) is not None,
        'not a mode; write it octal and in quotes, such as "0440"',
        each((*FILES, "backend_volumes"), "*", "mode"),
    ),
    Rule(
        like(r"\d+:\d+"),
        'not a numeric uid:gid; write numbers in quotes, such as "10003:10003"',
        each((*FILES, "backend_volumes"), "*", "owner"),
    ),
    # 7. Workers
    Rule(
        like(r"[a-z]([a-z0-9-]*[a-z0-9])?"),
        "not a name for containers; use lower-case letters, digits and hyphens, a letter first, no hyphen last",
        each(CONTAINERS, "@"),
    ),
    Rule(
        like(r"(?!(web(-release)?|nginx|postgres(-check)?|backups(-run)?|beat|(redis|worker|periodic)-.*)$).*"),
        "is the name of a container of the stack's own; give it another one",
        ("backend_processes.@",),
    ),
    Rule(
        lambda value: not isinstance(value, t.Mapping) or not value.get("command") or not set(value) & OF_CELERY,
        "has a command of its own, which gets no %s; write them as its arguments" % ", ".join(sorted(OF_CELERY)),
        ("backend_worker_pools.*",),
    ),
    Rule(
        bool,
        "names no queue; list the queues it consumes, or leave queues out for Celery's own",
        ("backend_worker_pools.*.queues",),
    ),
    Rule(
        like(r"[^\s,]+"),
        "not the name of a queue; give each queue an item of its own",
        ("backend_worker_pools.*.queues.*",),
    ),
    Rule(
        between(1),
        "not a positive number; give a number of tasks, 1 or more",
        ("backend_worker_pools.*.concurrency", "backend_worker_pools.*.max_tasks_per_child"),
    ),
    Rule(
        between(0),
        "is negative; give the messages that a process fetches ahead, 0 for any number",
        ("backend_worker_pools.*.prefetch_multiplier",),
    ),
    Rule(
        between(1),
        "not a positive number; give seconds, 1 or more",
        (
            *("backend_worker_pools.*.grace", "backend_worker_pools.*.time_limit"),
            *("backend_worker_pools.*.soft_time_limit", "backend_processes.*.stop_timeout"),
            *("backend_periodic_commands.*.every", *each(("backend_periodic_commands", *RELEASES), "*", "timeout")),
            *("backend_health_timeout_seconds", "backend_health_start_period_seconds"),
        ),
    ),
    Rule(
        lambda value: not value or megabytes(value) > 0,
        "not a size; write it as 200m",
        ("backend_worker_pools.*.max_memory_per_child",),
    ),
    Rule(
        lambda entry: isinstance(entry, t.Mapping) and [entry.get("schedule"), entry.get("every")].count(None) == 1,
        "has not exactly one of schedule and every; give schedule (cron, UTC) or every (seconds)",
        ("backend_periodic_commands.*",),
    ),
    Rule(
        is_schedule,
        "not a time of cron; write minute, hour, day of month, month and day of week, such as 30 3 * * 1-5",
        ("backend_periodic_commands.*.schedule",),
    ),
    # 8. Release commands
    Rule(
        lambda value: isinstance(value, t.Mapping) or is_command(value),
        "not a command; begin with the program alone and give each argument an item of its own",
        (*each(RELEASES, "*"), *each(("backend_periodic_commands", "backend_processes", *RELEASES), "*", "command")),
    ),
    # 9. Static files
    Rule(like(r"/[^\s:]+"), "not an absolute path; write it as /app/staticfiles", ("backend_static_root",)),
    Rule(like(URL_PATH), "not a path between slashes; write it as /static/", ("backend_static_url",)),
    Rule(
        like("|" + URL_PATH),
        "not a path between slashes; write it as /media/, or leave it empty when the application serves its uploads",
        ("backend_media_url",),
    ),
    # 10. Storage
    Rule(
        like(r"[a-z0-9][a-z0-9-]*"),
        "not the name of a volume; use lower-case letters, digits and hyphens",
        ("backend_volumes.@",),
    ),
    Rule(
        like(r"(?!(static|web-releases|postgres|postgres-socket|redis-.*|backups|backups-volumes|beat)$).*"),
        "is the name of a volume of the stack's own; give it another one",
        ("backend_volumes.@",),
    ),
    Rule(like(PATH), "not an absolute path; write it as /srv/media, in its shortest form", ("backend_volumes.*.path",)),
    Rule(
        like(r"(?!((/var)?/run|/proc|/sys|/dev)(/|$)).*"),
        "lies in a directory of the system's own; choose another path, such as /srv/media",
        ("backend_volumes.*.path",),
    ),
    Rule(
        like(PATH + r"(:\S*)?"),
        "not an absolute path; write it as /var/cache/acme or /var/cache/acme:size=64m",
        ("backend_tmpfs.*",),
    ),
    # 11. Health
    Rule(like(r"/\S*"), "not a path; begin it with a slash, such as /health/", ("backend_health_path",)),
    Rule(
        like(r"|/\S*"), "not a path; begin it with a slash, such as /ready/, or leave it empty", ("backend_ready_path",)
    ),
    Rule(
        lambda value: host_name_fault(value) is None,
        "not a host name; give one of backend_domains",
        ("backend_health_host",),
    ),
    Rule(bool, "empty; list the answers that are healthy, such as [200]", ("backend_health_statuses",)),
    Rule(between(100, 599), "not a status of HTTP; give numbers from 100 to 599", ("backend_health_statuses.*",)),
    # 12. Edge
    Rule(like(r"\d+[kKmMgG]?"), "not a size of nginx; write it as 25m", ("backend_upload_max_size",)),
    Rule(
        like(r"((=|\^~)\s*)?/[^\s{};\"']*|~\*?\s*(\"[^\"]+\"|'[^']+'|[^\s{};\"']+)"),
        "not a location of nginx; write a path such as /downloads/, = /exact, ^~ /first/ or ~ ^/(a|b)/, a regular "
        "expression with braces in quotes",
        ("backend_locations.@",),
    ),
    Rule(
        is_directives,
        "not directives of nginx; give text that ends in ; or }, with a closing brace for each open one",
        ("backend_locations.*",),
    ),
    # 13. Limits
    Rule(bool, "empty; write it as 512m", ("backend_web_memory",)),
    Rule(
        lambda value: not value or megabytes(value) >= MINIMUM_MEMORY_MB,
        "not a size, or too small to start in; write it as 512m, %dm or more" % MINIMUM_MEMORY_MB,
        ("backend_web_memory", *each(CONTAINERS, "*", "memory")),
    ),
    Rule(
        between(0),
        "is negative; give a number of processors such as 1.5, 0 for all",
        ("backend_web_cpus", *each(CONTAINERS, "*", "cpus")),
    ),
)
PLACES = tuple((tuple(place.split(".")), rule) for rule in RULES for place in rule.places)


_FILE = ("scalar", {"content": {"type": "str", "required": True}, "mode": {"type": "str"}, "owner": {"type": "str"}})
_COMMAND = {"type": "list", "elements": "str", "required": True}
_RELEASE_COMMAND = (
    "list",
    {
        "command": _COMMAND,
        "name": {"type": "str"},
        "working_dir": {"type": "path"},
        "timeout": {"type": "int"},
        "env": {"type": "dict"},
        "once": {"type": "bool"},
    },
)
# What may stand for a dictionary, and the keys of one, in variables whose entries have free names or none. (Those of
# worker pools and commands on a timer are in their role.)
ENTRIES: dict[str, tuple[str, dict[str, dict[str, t.Any]]]] = {
    "backend_redis_uses": ("", {"instance": {"type": "str", "required": True}, "database": {"type": "int"}}),
    **dict.fromkeys(FILES, _FILE),
    "backend_processes": (
        "",
        {
            "command": _COMMAND,
            "env": {"type": "dict"},
            "working_dir": {"type": "path"},
            "memory": {"type": "str"},
            "cpus": {"type": "float"},
            "published_ports": {"type": "list", "elements": "str"},
            "volumes": {"type": "list", "elements": "str"},
            "healthcheck": {"type": "dict"},
            "stop_timeout": {"type": "int"},
        },
    ),
    **dict.fromkeys(RELEASES, _RELEASE_COMMAND),
    "backend_volumes": (
        "",
        {"path": {"type": "path", "required": True}, "owner": {"type": "str"}, "mode": {"type": "str"}},
    ),
}


def select(value: t.Any, steps: t.Sequence[str], path: str) -> t.Iterator[tuple[str, t.Any]]:
    """What lies at a place, with the path that leads to it; scalars of a list are told by their value."""
    if not steps:
        yield path, value
    elif isinstance(value, t.Mapping):
        for key, item in value.items():
            if steps[0] == "@":
                yield "%s.%s" % (path, key), key
            elif steps[0] == "*" or (key == steps[0] and item is not None):
                yield from select(item, steps[1:], "%s.%s" % (path, key))
    elif steps[0] == "*" and isinstance(value, (list, tuple)):
        for index, item in enumerate(value):
            yield from select(item, steps[1:], path if shape(item) == "scalar" else "%s[%d]" % (path, index))


def rule_problems(values: t.Mapping[str, t.Any], found: t.Iterable[Problem] = ()) -> list[Problem]:
    """Values against the rules; found: problems of subjects that are known already."""
    known = {problem.subject for problem in found}
    problems: dict[tuple[str, str], Problem] = {}
    for (name, *steps), rule in PLACES:
        for path, item in select(values[name], steps, name) if name in values else ():
            if path in known or rule.valid(item):
                continue
            # A key is in the path, and a dictionary is more than a line.
            told = "" if "@" in steps or isinstance(item, t.Mapping) else shown(item)
            fault, _semicolon, remedy = rule.says.partition("; ")
            problems.setdefault((path, told), Problem(path, fault, remedy, told))
    return list(problems.values())


def entry_problems(
    name: str, value: t.Any, plain: str, options: t.Mapping[str, t.Mapping[str, t.Any]], secret: bool
) -> list[Problem]:
    """Entries of a variable against the keys that one may have; plain: what may stand for a dictionary."""
    problems: list[Problem] = []
    for path, entry in select(value, ["*"], name):
        if not isinstance(entry, t.Mapping):
            if not plain or entry is None or shape(entry) != plain:
                kinds = {
                    "": "a dictionary",
                    "list": "a list of arguments or a dictionary",
                    "scalar": "text or a dictionary",
                }
                remedy = "give %s with any of %s" % (kinds[plain], ", ".join(options))
                problems.append(Problem(path, "wrong type", remedy, "" if secret else shown(entry)))
            continue
        for key in entry:
            if key not in options:
                advice = suggestion(str(key), options, 0.6) or "known keys are %s" % ", ".join(options)
                problems.append(Problem("%s.%s" % (path, key), "unknown key", advice))
        for key, option in options.items():
            if entry.get(key) is not None:
                told = {**option, "no_log": secret}
                problems += option_problems("%s.%s" % (path, key), entry[key], told)
            elif option.get("required"):
                problems.append(Problem("%s.%s" % (path, key), "missing", "add the key"))
    return problems


# The application: values together -------------------------------------------------------------------------------------
# Each check's parameters are the variables that it judges; one whose variables have problems of their own is left out.


def domain_problems(backend_domains: t.Sequence[str]) -> list[Problem]:
    if not backend_domains:
        return [Problem("backend_domains", "empty", "name the hosts the application answers to", "[]")]
    return host_name_problems("backend_domains", backend_domains)


def redirect_problems(backend_redirect_domains: t.Sequence[str], backend_domains: t.Sequence[str]) -> list[Problem]:
    variable = "backend_redirect_domains"
    return host_name_problems(variable, backend_redirect_domains) + in_both(
        variable,
        backend_redirect_domains,
        backend_domains,
        "is one of backend_domains as well",
        "list it in one of them",
    )


def host_name_problems(variable: str, names: t.Sequence[str]) -> list[Problem]:
    faults = [(name, host_name_fault(name)) for name in names]
    problems = [Problem(variable, *fault, shown(name)) for name, fault in faults if fault]
    for name in sorted({name for name in names if names.count(name) > 1}):
        problems.append(Problem(variable, "is listed twice", "list it once", shown(name)))
    return problems


def in_both(variable: str, ours: t.Collection[str], others: t.Collection[str], text: str, remedy: str) -> list[Problem]:
    return [Problem(variable, text, remedy, shown(name)) for name in ours if name in others]


def environment_twice_problems(
    backend_env: t.Mapping[str, t.Any], backend_secret_env: t.Mapping[str, t.Any]
) -> list[Problem]:
    remedy = "keep it in backend_secret_env when it is secret, else in backend_env"
    return in_both("backend_env", backend_env, backend_secret_env, "is in backend_secret_env as well", remedy)


def file_twice_problems(
    backend_files: t.Mapping[str, t.Any], backend_secret_files: t.Mapping[str, t.Any]
) -> list[Problem]:
    remedy = "keep it in backend_secret_files when it holds a secret, else in backend_files"
    return in_both("backend_files", backend_files, backend_secret_files, "is in backend_secret_files as well", remedy)


def image_problems(image: str, environment: str, variable: str = "backend_image") -> list[Problem]:
    name, at, digest = image.partition("@")
    repository, tag = name, ""
    # A colon before the last slash is the port of a registry.
    if ":" in name.rpartition("/")[2]:
        repository, _colon, tag = name.rpartition(":")
    valid = re.fullmatch(r"[a-z0-9][a-z0-9.:/_-]*", repository) and re.fullmatch(r"[\w.-]*", tag)
    if not valid or (at and not re.fullmatch("sha256:[0-9a-f]{64}", digest)):
        remedy = "write it as registry/name:tag or registry/name@sha256:..."
        return [Problem(variable, "not an image reference", remedy, shown(image))]
    if environment != "dev" and not digest and tag in ("", "latest"):
        text = "has no tag" if not tag else "is tagged latest"
        remedy = "give the tag or digest of one build, so that every host and a rollback get the same"
        return [Problem(variable, text, remedy, shown(image))]
    return []


def ready_image_problems(backend_image: str, stack_environment: str) -> list[Problem]:
    return image_problems(backend_image, stack_environment) if backend_image else []


def base_image_problems(backend_base_image: str, stack_environment: str) -> list[Problem]:
    return image_problems(backend_base_image, stack_environment, "backend_base_image") if backend_base_image else []


def context_problems(
    backend_context: str,
    backend_image: str,
    backend_requirements: str,
    backend_packages: t.Sequence[str],
    backend_install_project: t.Any,
) -> list[Problem]:
    """An image that is built here needs something to install."""
    if backend_image:
        return []
    if backend_context:
        if os.path.isdir(backend_context):
            remedy = "lock what the application needs, or name it in backend_packages"
            empty = Problem("backend_requirements", "empty, and so is backend_packages", remedy)
            return [] if backend_requirements or backend_packages else [empty]
        remedy = "point it at your application's source, or set backend_image to an image that exists"
        return [Problem("backend_context", "no such directory on the controller", remedy, shown(backend_context))]
    problems = []
    if not backend_packages:
        remedy = "point it at your application's source, or name what to install in backend_packages"
        problems.append(Problem("backend_context", "empty, and so is backend_packages", remedy))
    if truthy(backend_install_project):
        remedy = "name the project in backend_packages instead, or set backend_context"
        problems.append(Problem("backend_install_project", "is on without backend_context", remedy, "true"))
    return problems


def requirements_problems(backend_requirements: str, backend_context: str, backend_image: str) -> list[Problem]:
    return requirements_file_problems("backend_requirements", backend_requirements, backend_context, backend_image)


def requirements_dev_problems(
    backend_requirements_dev: str, backend_target: str, backend_context: str, backend_image: str
) -> list[Problem]:
    path = backend_requirements_dev if backend_target == "dev" else ""
    return requirements_file_problems("backend_requirements_dev", path, backend_context, backend_image)


def constraints_problems(backend_constraints: str, backend_context: str, backend_image: str) -> list[Problem]:
    variable = "backend_constraints"
    if backend_constraints and not backend_context and not backend_image:
        remedy = "set backend_context to the directory that holds it"
        return [Problem(variable, "has no backend_context to lie in", remedy, backend_constraints)]
    return requirements_file_problems(variable, backend_constraints, backend_context, backend_image)


def requirements_file_problems(variable: str, path: str, context: str, image: str) -> list[Problem]:
    """A requirements or lock file with the files that it needs; one without a source is not used."""
    if image or not path or not os.path.isdir(context):
        return []
    if not os.path.isfile(os.path.join(context, path)):
        remedy = "lock your requirements into %s" % path
        if variable == "backend_constraints":
            remedy = "add the file or empty the variable"
        return [Problem(variable, "no such file in backend_context", remedy, shown(path))]
    if os.path.basename(path) == "uv.lock":
        project = os.path.join(os.path.dirname(path), "pyproject.toml")
        if not os.path.isfile(os.path.join(context, project)):
            text = "has no pyproject.toml beside it"
            return [Problem(variable, text, "add %s: uv reads both" % project, shown(path))]
    if path.endswith((".lock", ".toml")):
        return []
    problems, seen, todo = [], {path}, [path]
    while todo:
        current = todo.pop()
        for name in included_files(os.path.join(context, current)):
            file = os.path.normpath(os.path.join(os.path.dirname(current), name))
            if file in seen:
                continue
            seen.add(file)
            if file.startswith(("..", "/")) or not os.path.isfile(os.path.join(context, file)):
                text = "%s includes %s, which is no file in backend_context" % (current, name)
                problems.append(Problem(variable, text, "add the file or take the line out", shown(path)))
            else:
                todo.append(file)
    return problems


def included_files(path: str) -> list[str]:
    """Other files that a requirements file asks for."""
    with open(path, encoding="utf-8", errors="replace") as stream:
        found = INCLUDED.findall(stream.read())
    return [name for name in found if "://" not in name and "${" not in name]


def extras_problems(backend_extras: t.Sequence[str], backend_requirements: str, backend_image: str) -> list[Problem]:
    file = os.path.basename(backend_requirements)
    if not backend_extras or backend_image or file in ("uv.lock", "pylock.toml"):
        return []
    remedy = (
        "set backend_requirements to uv.lock or pylock.toml, or lock them into your requirements file and remove this"
    )
    return [Problem("backend_extras", "only lock files know extras", remedy, shown(backend_extras))]


def wheels_problems(backend_wheels_only_except: t.Sequence[str], backend_wheels_only: t.Any) -> list[Problem]:
    if not backend_wheels_only_except or truthy(backend_wheels_only):
        return []
    text, remedy = "means nothing without backend_wheels_only", "set backend_wheels_only to true or remove it"
    return [Problem("backend_wheels_only_except", text, remedy, shown(backend_wheels_only_except))]


def hashes_problems(backend_packages: t.Sequence[str], backend_hashes_required: t.Any) -> list[Problem]:
    if not truthy(backend_hashes_required):
        return []
    remedy = "add --hash=sha256:... to it, lock it into backend_requirements, or set backend_hashes_required to false"
    return [
        Problem("backend_packages", "has no hash, which backend_hashes_required demands", remedy, shown(package))
        for package in backend_packages
        if "--hash" not in package
    ]


def serving_problems(backend_wsgi: str, backend_asgi: str, backend_web_command: t.Sequence[str]) -> list[Problem]:
    if backend_wsgi or backend_asgi or backend_web_command:
        return []
    text = "empty, and so are backend_asgi and backend_web_command"
    return [Problem("backend_wsgi", text, "set one of them: nothing would serve")]


def celery_problems(
    backend_celery_app: str,
    backend_worker_command: t.Sequence[str],
    backend_worker_pools: t.Mapping[str, t.Any],
    backend_beat_command: t.Sequence[str],
    backend_beat_enabled: t.Any,
) -> list[Problem]:
    pools = [name for name, pool in backend_worker_pools.items() if not pool.get("command")]
    problems = []
    if pools and not backend_celery_app and not backend_worker_command:
        remedy = "set it or backend_worker_command, or set backend_worker_pools to {}"
        problems.append(Problem("backend_celery_app", "empty, but the pool %s needs it" % pools[0], remedy))
    if truthy(backend_beat_enabled) and not backend_celery_app and not backend_beat_command:
        remedy = "set it or backend_beat_command, or set backend_beat_enabled to false"
        problems.append(Problem("backend_celery_app", "empty, but beat needs it", remedy))
    return problems


def truthy(value: t.Any) -> bool:
    return str(value).strip().lower() in ("1", "true", "yes", "on", "y", "t")


def debug_problems(backend_env: t.Mapping[str, t.Any], stack_environment: str) -> list[Problem]:
    if stack_environment == "dev" or not truthy(backend_env.get("DJANGO_DEBUG", "0")):
        return []
    remedy = "remove it: debugging shows settings and data to every visitor"
    return [Problem("backend_env.DJANGO_DEBUG", "is on outside dev", remedy, shown(backend_env["DJANGO_DEBUG"]))]


def redis_use_problems(
    backend_redis_uses: t.Mapping[str, t.Any], redis_instances: t.Mapping[str, t.Any]
) -> list[Problem]:
    remedy = "name one of redis_instances: %s" % ", ".join(redis_instances)
    return [
        Problem("backend_redis_uses.%s.instance" % name, "no such instance", remedy, shown(use["instance"]))
        for name, use in backend_redis_uses.items()
        if use["instance"] not in redis_instances
    ]


def volume_problems(
    backend_volumes: t.Mapping[str, t.Any], backend_tmpfs: t.Sequence[str], backend_context: str, backend_image: str
) -> list[Problem]:
    problems = []
    taken = {path.partition(":")[0]: "backend_tmpfs" for path in backend_tmpfs}
    for name, volume in backend_volumes.items():
        subject, path = "backend_volumes.%s.path" % name, volume["path"]
        if path in taken:
            problems.append(Problem(subject, "is the path of %s as well" % taken[path], "give each its own", path))
        elif path == "/app" and backend_context and not backend_image:
            remedy = "mount it elsewhere: it would hide the source, that of later images too"
            problems.append(Problem(subject, "is where the application lies", remedy, path))
        taken.setdefault(path, "backend_volumes.%s" % name)
    return problems


def backup_volume_problems(
    backend_backup_volumes: t.Sequence[str], backend_volumes: t.Mapping[str, t.Any]
) -> list[Problem]:
    remedy = "name one of backend_volumes: %s" % (", ".join(backend_volumes) or "there is none")
    return [
        Problem("backend_backup_volumes", "no such volume", remedy, shown(name))
        for name in backend_backup_volumes
        if name not in backend_volumes
    ]


def url_problems(backend_static_url: str, backend_media_url: str) -> list[Problem]:
    if backend_static_url != backend_media_url:
        return []
    text, remedy = "is backend_static_url as well", "give each a path of its own"
    return [Problem("backend_media_url", text, remedy, backend_media_url)]


def location_problems(
    backend_locations: t.Mapping[str, t.Any], backend_static_url: str, backend_media_url: str
) -> list[Problem]:
    """Prefixes that nginx would find twice, since ^~ makes no other location of one."""
    taken = {"/": "the application", backend_static_url: "backend_static_url", backend_media_url: "backend_media_url"}
    remedy = "take it out, or write a more exact location"
    return [
        Problem("backend_locations.%s" % key, "is the location of %s already" % taken[prefix], remedy)
        for key in backend_locations
        if (prefix := key.removeprefix("^~").strip()) in taken
    ]


COMBINATIONS = tuple(
    (check, tuple(inspect.signature(check).parameters))
    for check in (
        stack_name_problems,
        subnet_prefix_problems,
        domain_problems,
        redirect_problems,
        ready_image_problems,
        context_problems,
        requirements_problems,
        requirements_dev_problems,
        constraints_problems,
        extras_problems,
        wheels_problems,
        hashes_problems,
        base_image_problems,
        serving_problems,
        celery_problems,
        debug_problems,
        environment_twice_problems,
        file_twice_problems,
        redis_use_problems,
        volume_problems,
        backup_volume_problems,
        url_problems,
        location_problems,
    )
)


def secret_name_problems(values: t.Mapping[str, t.Any]) -> list[Problem]:
    """Environment variables that are secrets by their names; those of a build are stand-ins for real ones."""
    problems = []
    for name, *steps in (place.split(".") for place in ENVIRONMENTS if place != "backend_build_env"):
        for path, value in select(values.get(name), [*steps, "*"], name):
            key = path.rpartition(".")[2]
            # Neither a switch nor the path of a file is secret.
            if SECRET_NAME.search(key) and not re.fullmatch(r"|none|true|false|yes|no|\d|/.*", str(value).lower()):
                remedy = "move it to backend_secret_env, or to backend_secrets when the application reads %s_FILE" % key
                problems.append(Problem(path, "is a secret in the environment", remedy))
    return problems


def contained_secret_problems(
    values: t.Mapping[str, t.Any], secrets: t.Mapping[str, str], found: t.Iterable[Problem]
) -> list[Problem]:
    """Values in the open that hold one of our secrets, as it is or as part of a URL."""
    known = {problem.subject for problem in found}
    needles = {
        needle: name
        for name, secret in secrets.items()
        if len(secret) >= MINIMUM_CONTAINED_LENGTH and not placeholder(name, secret)
        for needle in (secret, quote(secret, safe=""))
    }
    problems = []
    for variable, value in values.items():
        for path, text in leaves(value, variable) if needles else ():
            name = next((name for needle, name in needles.items() if needle in text), "")
            if name and path not in known:
                remedy = "move it to backend_secret_env or backend_secret_files"
                problems.append(Problem(path, "contains the value of %s" % name, remedy))
    return problems


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


def worker_problems(
    beat: bool, pools: t.Collection[str], hosts: t.Collection[str], periodic: t.Collection[str] = ()
) -> list[Problem]:
    problems = []
    if beat and not hosts:
        remedy = "add a host to the group worker or set backend_beat_enabled to false"
        problems.append(Problem("backend_beat_enabled", "is on without a worker host", remedy, "true"))
    if beat and not pools:
        remedy = "define a pool or set backend_beat_enabled to false: nobody would run what beat schedules"
        problems.append(Problem("backend_beat_enabled", "is on without a worker pool", remedy, "true"))
    if periodic and not hosts:
        text, remedy = "has no host to run on", "add a host to the group worker or empty it"
        problems.append(Problem("backend_periodic_commands", text, remedy, ", ".join(periodic)))
    if hosts and not pools and not periodic:
        remedy = "define one or leave the group worker empty"
        problems.append(Problem("backend_worker_pools", "has no pool for the group worker", remedy, "{}", warning=True))
    return problems


# Variables of the application whose templates may ask for what the stack serves.
REFERRING = (
    "backend_default_secrets",
    "backend_default_env",
    "backend_env",
    "backend_secrets",
    "backend_secret_env",
    "backend_files",
    "backend_secret_files",
    "backend_release_env",
    "backend_release_secrets",
)
SERVICES = {"postgres": "stack_database", "redis": "stack_redis"}
REDIS_USE = re.compile(r"\bstack_redis(?:\.(\w+)|\[\s*['\"]([^'\"]+)['\"])")


def service_problems(
    groups: t.Mapping[str, t.Sequence[str]], raw: t.Mapping[str, t.Any], uses: t.Collection[str]
) -> list[Problem]:
    """Services that the application's variables ask for, while the inventory has no host for them."""
    problems = []
    for group, variable in SERVICES.items():
        if groups.get(group) or (group == "redis" and not uses):
            continue
        for name in [name for name in REFERRING if name in raw and variable in closure(name, raw)][:1]:
            text = "has no host, but %s refers to %s" % (name, variable)
            remedy = "add one to the inventory's hosts.yml, or set %s to what the application needs instead" % name
            problems.append(Problem("group %s" % group, text, remedy))
    return problems


def redis_reference_problems(raw: t.Mapping[str, t.Any], uses: t.Collection[str]) -> list[Problem]:
    """Templates that ask for a use of Redis that nobody declared."""
    problems = []
    for name in REFERRING:
        for path, text in leaves(raw.get(name), name):
            for use in dict.fromkeys(one or other for one, other in REDIS_USE.findall(text)):
                if use not in uses:
                    wrong = "refers to stack_redis.%s, which backend_redis_uses does not have" % use
                    problems.append(Problem(path, wrong, "add it there, or take it out of %s" % name))
    return problems


# A host as it was observed --------------------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class Port:
    """A port that a container is to publish on a host."""

    address: str
    port: int
    variable: str

    def meets(self, address: str, port: int) -> bool:
        wildcards = ("", "0.0.0.0", "::", "*")
        return self.port == port and (self.address in wildcards or address in wildcards or self.address == address)


def parsed_ports(published: t.Iterable[str], variable: str) -> list[Port]:
    """Ports of docker_container's published_ports: [[address:]host port[-end]:]container port[/protocol]; TCP only."""
    ports = []
    for text in map(str, published):
        rest, _slash, protocol = text.partition("/")
        if protocol not in ("", "tcp") or ":" not in rest:
            continue
        outside, _colon, _container = rest.rpartition(":")
        address, _colon, span = outside.rpartition(":")
        first, _dash, last = span.partition("-")
        if first.isdigit():
            ports += [Port(address.strip("[]"), port, variable) for port in range(int(first), int(last or first) + 1)]
    return ports


def failure(result: t.Mapping[str, t.Any]) -> str:
    """First line of a failed task's message."""
    return shown(str(result.get("msg", "")).partition("\n")[0].removeprefix("Task failed: ")).rstrip(".")


def observation_problems(observation: t.Any) -> list[Problem]:
    """Whether the host could be observed at all."""
    if not isinstance(observation, t.Mapping):
        return [Problem("", "was not observed", "see the error above")]
    if observation.get("unreachable"):
        text = "is unreachable: %s" % failure(observation)
        return [Problem("", text, "check ansible_host, the network and your SSH key, or take it out of the inventory")]
    if observation.get("failed") or "host" not in observation:
        text = "could not be observed: %s" % failure(observation)
        return [Problem("", text, "Python 3 and your user's rights on it are needed")]
    return []


def engine_problems(engine: t.Mapping[str, t.Any]) -> list[Problem]:
    """A missing or stopped Engine is installed and started later; one that is too old or forbids us is not."""
    if "Permission denied" in str(engine.get("error", "")):
        remedy = "add the user to the group docker, log in again, or connect as root"
        return [Problem("Docker Engine", "its socket refuses this user", remedy)]
    version = str(engine.get("api_version", "")) if engine.get("running") else ""
    if re.fullmatch(r"\d+\.\d+", version) and tuple(map(int, version.split("."))) < MINIMUM_API_VERSION:
        value = "API %s (%s)" % (version, engine.get("version", ""))
        return [Problem("Docker Engine", "too old", "upgrade to 20.10 (API 1.41) or later", value)]
    return []


def port_problems(ports: t.Sequence[Port], observation: t.Mapping[str, t.Any], stack: str) -> list[Problem]:
    """Ports we are to publish that something else has: another container, a process, or a second container of ours."""
    containers = observation.get("containers", {})
    ours = {port for row in containers.values() if row.get("stack") == stack for port in row.get("published", [])}
    problems = []
    for index, wanted in enumerate(ports):
        value = "%s:%d" % (wanted.address, wanted.port) if wanted.address else str(wanted.port)
        twice = [other for other in ports[:index] if other.meets(wanted.address, wanted.port)]
        if twice:
            text = "is published by %s as well" % twice[0].variable
            problems.append(Problem(wanted.variable, text, "give each a port of its own", value))
        if wanted.port in ours:
            continue
        foreign = sorted(
            name
            for name, row in containers.items()
            if row.get("stack") != stack and row.get("status") == "running" and wanted.port in row.get("published", [])
        )
        listening = [
            row for row in observation["host"].get("listening", []) if wanted.meets(row["address"], int(row["port"]))
        ]
        if foreign:
            text = "taken by the container %s" % foreign[0]
        elif listening:
            text = "taken by a process that listens on %s" % listening[0]["address"]
        else:
            continue
        problems.append(Problem(wanted.variable, text, "stop it or choose another port", value))
    return problems


def disk_problems(free_mb: int, minimum_mb: int) -> list[Problem]:
    if free_mb >= minimum_mb:
        return []
    text = "%d MiB free in Docker's directory, %d are needed" % (free_mb, minimum_mb)
    remedy = "free space (`docker system df` shows what takes it) or lower stack_docker_free_mb_min"
    return [Problem("disk", text, remedy)]


def clock_problems(epoch: float, earliest: float, latest: float, limit: float) -> list[Problem]:
    """The host's clock against the span of the controller's time in which it was read."""
    skew = min(epoch - earliest + limit, 0) or max(epoch - latest - limit, 0)
    if not skew:
        return []
    skew = epoch - (latest if skew > 0 else earliest)
    text = "%.0f s %s of the controller" % (abs(skew), "ahead" if skew > 0 else "behind")
    return [Problem("clock", text, "synchronise both by NTP: certificates and tokens depend on it")]


def megabytes(text: t.Any) -> float:
    """Docker's size notation in MiB; 0 for what is none."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([bkmg]?)(?:i?b)?", str(text).strip().lower())
    return float(match.group(1)) * UNITS_MB[match.group(2)] if match else 0


def memory_limits(value: t.Any, name: str) -> float:
    """Sum of the memory limits in a role's variables: x_memory, or memory within a dictionary of containers."""
    if isinstance(value, t.Mapping):
        return sum(memory_limits(item, str(key)) for key, item in value.items())
    return megabytes(value) if name == "memory" or name.endswith("_memory") else 0


def memory_problems(limits_mb: float, memory_mb: float) -> list[Problem]:
    if limits_mb <= memory_mb:
        return []
    text = "the containers' limits add up to %d MiB, the host has %d" % (limits_mb, memory_mb)
    return [Problem("memory", text, "lower them, or spread the groups over more hosts", warning=True)]
