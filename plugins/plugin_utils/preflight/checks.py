# MIT License (see LICENSE)
"""The checks of preflight as pure functions of plain data; none reads or changes a host."""

from __future__ import annotations

import dataclasses
import difflib
import functools
import ipaddress
import re
import typing as t

from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible_collections.broadcast.stack.plugins.plugin_utils.failures import key_remedy, reason
from ansible_collections.broadcast.stack.plugins.plugin_utils.services.values import megabytes
from ansible_collections.broadcast.stack.plugins.plugin_utils.templates import NAME_ALONE, closure, references

MINIMUM_SECRET_LENGTH = 16
MINIMUM_SECRET_CHARACTERS = 6
MINIMUM_API_VERSION = (1, 41)
# Variables that roles register on hosts; inventories do not set them.
RUNTIME_VARIABLES = frozenset(
    {"container_observation", "container_run_result", "stack_lock", "stack_logs", "stack_plan", "stack_preflight"}
    | {"stack_release", "stack_release_back", "stack_release_failure", "stack_release_live", "stack_release_started"}
    | {"stack_role_plans", "stack_status_failure"}
)
# Groups whose hosts can stand in for each other.
SPARE_GROUPS = ("web", "worker", "edge")
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
ENGINE_IS_BUSY = "it is busy or hangs: run again, or look at its log and restart it"


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


def written_as(subject: str, raw: t.Mapping[str, t.Any]) -> str:
    """A subject by the variable that a user writes, when the one that it begins with only passes that one on."""
    name = variable_of(subject)
    rest, seen = subject[len(name) :], set()
    while name not in seen and isinstance(raw.get(name), str) and (match := NAME_ALONE.fullmatch(raw[name])):
        seen.add(name)
        name = match[1]
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
    # Of variables that refer to each other none is at the bottom.
    return found or dict(failed(name))


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
    if option.get("type") == "bool" and isinstance(value, str):
        # Not empty, so templates take "false" for true.
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
    """known: group name -> {roles, required (bool), hosts_max (int), advice}."""
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
    apart = sorted(set(groups.get("backups", [])) - set(groups.get("postgres", [])))
    if apart and groups.get("postgres"):
        text = "is not a host of postgres, whose volumes it reads"
        problems.append(Problem("group backups", text, "name the host of the group postgres", value=", ".join(apart)))
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


# A fleet ------------------------------------------------------------------------------------------------------------


def private_address_problems(address: str, others: t.Mapping[str, str], present: t.Collection[str]) -> list[Problem]:
    """A host's address in a fleet. others: the addresses of the other hosts. present: what the host has, if known."""
    name, value = "stack_private_address", shown(address)
    try:
        wrong = ipaddress.IPv4Address(address).is_loopback
    except ValueError:
        wrong = True
    if wrong:
        remedy = "set it for the host in hosts.yml or host_vars, such as 10.0.0.11"
        return [Problem(name, "not an IPv4 address at which other hosts reach this one", remedy, value)]
    if same := sorted(host for host, other in others.items() if other == address):
        return [Problem(name, "is the address of %s as well" % ", ".join(same), "give each host its own", value)]
    if present and address not in present:
        text = "is none of the host's own addresses, which are %s" % ", ".join(present)
        return [Problem(name, text, "set it to one of them: services bind to it", value)]
    return []


def shared_volume_problems(groups: t.Mapping[str, t.Sequence[str]], volumes: t.Collection[str]) -> list[Problem]:
    """Volumes of the application are a host's own; on several hosts each has another content."""
    hosts = sorted({host for name in ("web", "worker") for host in groups.get(name, [])})
    if len(hosts) < 2 or not volumes:
        return []
    text = "each of the hosts %s has files of its own in it" % ", ".join(hosts)
    remedy = "use object storage or mount a shared file system, unless the application can live with that"
    return [Problem("backend_volumes.%s" % name, text, remedy, warning=True) for name in volumes]


def edge_media_problems(
    groups: t.Mapping[str, t.Sequence[str]], volumes: t.Collection[str], media_url: str
) -> list[Problem]:
    """An edge serves uploaded files from the volume of its own host, where only web puts any."""
    web = groups.get("web", [])
    apart = [host for host in groups.get("edge", []) if host not in web]
    if not (web and apart and media_url and "media" in volumes):
        return []
    text = "uploaded files lie on %s, so the edge on %s asks the application for them"
    text %= ", ".join(web), ", ".join(apart)
    remedy = "put web and edge on one host, use object storage, or let the application serve them and say so by ''"
    return [Problem("backend_media_url", text, remedy, media_url, warning=True)]


def backup_host_problems(
    groups: t.Mapping[str, t.Sequence[str]], volumes: t.Collection[str], chosen: bool
) -> list[Problem]:
    """Backups read the volumes of their own host. Those that the inventory itself names have to be among them."""
    hosts = list(dict.fromkeys(host for name in ("web", "worker") for host in groups.get(name, [])))
    apart = [host for host in groups.get("backups", []) if host not in hosts]
    if not (hosts and apart and volumes):
        return []
    text = "lies on %s, while backups run on %s: not backed up" % (", ".join(hosts), ", ".join(apart))
    remedy = (
        "put postgres and backups on that host, use object storage, or set it to [] and back files up by other means"
    )
    return [Problem("backend_backup_volumes", text, remedy, ", ".join(map(str, volumes)), warning=not chosen)]


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
    """Why a task failed, in a report."""
    return shown(reason(result)).rstrip(".")


def observation_remedy(observation: t.Mapping[str, t.Any]) -> str:
    """What helps against the failure of an observation, which depends on who failed."""
    message = str(observation.get("msg", ""))
    written = "%s\n%s\n%s" % (message, observation.get("module_stderr", ""), observation.get("module_stdout", ""))
    if message.startswith("The Docker Engine"):
        if "timed out" in message:
            return ENGINE_IS_BUSY
        return "look at the log of its service: journalctl -u docker"
    if re.search(r"\b(sudo|su|doas)\b|become", written):
        return "give the user the right to become root there, or the password by --ask-become-pass"
    if "No space left" in written:
        return "free space on the host: a module needs some for its files"
    return "Python 3 and your user's rights on it are needed"


def observation_problems(observation: t.Any, spare: bool = False) -> list[Problem]:
    """Whether the host could be observed at all. spare: whether the others can do without it."""
    if not isinstance(observation, t.Mapping):
        return [Problem("", "was not observed", "see the error above")]
    if observation.get("unreachable"):
        text = "is unreachable: %s" % failure(observation)
        if command := key_remedy(observation):
            # Its fingerprint is what tells a new machine from somebody between.
            return [Problem("", text, "when you know that it is a new machine or has new keys, `%s`" % command)]
        advice = "check ansible_host, the network and your SSH key, or take it out of the inventory"
        if spare:
            advice += "; -e stack_unreachable_hosts=leave_out goes on without it"
        return [Problem("", text, advice)]
    if observation.get("failed") or "host" not in observation:
        text = "could not be observed: %s" % failure(observation)
        return [Problem("", text, observation_remedy(observation))]
    return []


def shared_root_problems(observation: t.Mapping[str, t.Any], stack: str, root: str) -> list[Problem]:
    """Another stack's containers that have their files where ours are: what removes one would remove the other."""
    containers, files = observation.get("containers", {}), observation.get("files", {})
    found = sorted(
        {
            row["stack"]
            for name, row in containers.items()
            if row.get("stack") not in ("", None, stack)
            and any(path.startswith("%s/%s/" % (root.rstrip("/"), name)) for path in files)
        }
    )
    remedy = "give each stack a directory of its own, such as /opt/%s" % stack
    return [Problem("stack_root", "is the directory of the stack %s as well" % name, remedy) for name in found]


def engine_problems(engine: t.Mapping[str, t.Any]) -> list[Problem]:
    """A missing or stopped Engine is installed and started later; one that is too old or forbids us is not."""
    if "Permission denied" in str(engine.get("error", "")):
        remedy = "add the user to the group docker, log in again, or connect as root"
        return [Problem("Docker Engine", "its socket refuses this user", remedy)]
    if "timed out" in str(engine.get("error", "")):
        return [Problem("Docker Engine", "does not answer", ENGINE_IS_BUSY)]
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
