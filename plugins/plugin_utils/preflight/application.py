# MIT License (see LICENSE)
"""The checks of preflight that concern the application: pure functions of plain data, like those in checks.py."""

from __future__ import annotations

import dataclasses
import inspect
import os
import re
import typing as t
from urllib.parse import quote

from ansible_collections.broadcast.stack.plugins.plugin_utils.images import requirement_files
from ansible_collections.broadcast.stack.plugins.plugin_utils.images.catalog import (
    CatalogError,
    ignore_filter,
    ignore_text,
)
from ansible_collections.broadcast.stack.plugins.plugin_utils.preflight.checks import (
    SECRET_NAME,
    Problem,
    closure,
    is_secret,
    leaves,
    option_problems,
    placeholder,
    shape,
    shown,
    subnet_prefix_problems,
    suggestion,
    variable_of,
)
from ansible_collections.broadcast.stack.plugins.plugin_utils.services.values import (
    LEAST_MEMORY_MB,
    host_name_fault,
    is_container_memory,
    is_container_name,
    is_positive_size,
    is_schedule,
    server_name_fault,
)
from ansible_collections.broadcast.stack.plugins.plugin_utils.template_reads import ANY, MARK, Reads

MINIMUM_CONTAINED_LENGTH = 8


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


def is_smoke_path(value: t.Any) -> bool:
    one = value if isinstance(value, t.Mapping) else {"path": value}
    statuses = one.get("statuses") or []
    return (
        set(one) <= {"path", "statuses"}
        and re.fullmatch(r"/\S*", str(one.get("path", ""))) is not None
        and isinstance(statuses, list)
        and all(re.fullmatch(r"[1-5]\d\d", str(status)) for status in statuses)
    )


def is_text(value: t.Any) -> bool:
    return value is not None and shape(value) == "scalar"


def is_directives(value: t.Any) -> bool:
    """Directives of nginx: every brace has its partner and nothing is left open at the end."""
    if not isinstance(value, str):
        return False
    code = re.sub(r"\"(\\.|[^\"\\])*\"|'(\\.|[^'\\])*'|(^|\s)#[^\n]*", " ", value)
    depths = [code[: place.end()].count("{") - code[: place.end()].count("}") for place in re.finditer("[{}]", code)]
    return code.rstrip().endswith((";", "}")) and min(depths, default=0) >= 0 and not (depths and depths[-1])


# Lock files and projects that requirements may be; every other file is in pip's format.
INSTALLABLE = re.compile(r"uv\.lock|pylock(\.[^.]+)?\.toml|pyproject\.toml")
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
SECRET_ENVIRONMENTS = ("backend_secret_env", "backend_release_secret_env")
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
    Rule(like(r"|3\.\d+"), 'not a version of Python; write for example "3.13", in quotes', ("backend_python",)),
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
        like(r"[1-9]\d*:[1-9]\d*"),
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
        each((*ENVIRONMENTS, *SECRET_ENVIRONMENTS), "@"),
    ),
    Rule(
        lambda value: is_text(value) and not re.search(r"[\r\n\0]", str(value)),
        "not a value on one line; give text or a number: longer texts belong in backend_files or backend_secret_files",
        each(ENVIRONMENTS, "*"),
    ),
    Rule(between(0, 15), "not a database of Redis; give a number from 0 to 15", ("backend_redis_uses.*.database",)),
    # 5. Secrets and files
    Rule(is_text, "not a text; turn other values into text with the filter to_json", each(SECRET_ENVIRONMENTS, "*")),
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
        is_container_name,
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
            *("backend_health_timeout_seconds", "backend_health_start_period_seconds", "backend_ready_wait_seconds"),
        ),
    ),
    Rule(
        lambda value: not value or is_positive_size(value),
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
        is_smoke_path,
        "not a path; write /, or {path: /admin/, statuses: [200, 302]}",
        ("backend_smoke_paths.*",),
    ),
    Rule(
        lambda value: host_name_fault(value) is None,
        "not a host name; give one of backend_domains",
        ("backend_health_host",),
    ),
    Rule(bool, "empty; list the answers that are healthy, such as [200]", ("backend_health_statuses",)),
    Rule(between(100, 599), "not a status of HTTP; give numbers from 100 to 599", ("backend_health_statuses.*",)),
    # 12. Edge
    Rule(
        like(r"/[^\s{};\"']*"),
        "not a path of URLs; write it as /accounts/login/",
        ("backend_login_paths.*",),
    ),
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
        lambda value: not value or is_container_memory(value),
        "not a size, or too small to start in; write it as 512m, %dm or more" % LEAST_MEMORY_MB,
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
_HEALTHCHECK = {
    "test": {"type": "list", "elements": "str", "required": True},
    "interval": {"type": "str"},
    "timeout": {"type": "str"},
    "retries": {"type": "int"},
    "start_period": {"type": "str"},
}
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
    "backend_redis_uses": ("", {"instance": {"type": "str"}, "database": {"type": "int"}}),
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
            "healthcheck": {"type": "dict", "options": _HEALTHCHECK},
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
                told = {**option, "no_log": secret or option.get("no_log", False)}
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
    problems = [Problem(variable, *fault, shown(name)) for name in names if (fault := server_name_fault(name))]
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


def release_environment_twice_problems(
    backend_release_env: t.Mapping[str, t.Any], backend_release_secret_env: t.Mapping[str, t.Any]
) -> list[Problem]:
    text, remedy = "is in backend_release_secret_env as well", "keep it there when it is secret, else here"
    return in_both("backend_release_env", backend_release_env, backend_release_secret_env, text, remedy)


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


def requirements_problems(
    backend_requirements: str,
    backend_context: str,
    backend_image: str,
    backend_build_env: t.Mapping[str, t.Any],
    backend_working_dir: str,
) -> list[Problem]:
    variable = "backend_requirements"
    source = "" if backend_image else backend_context
    return requirements_file_problems(variable, backend_requirements, source, backend_build_env, backend_working_dir)


def requirements_dev_problems(
    backend_requirements_dev: str,
    backend_target: str,
    backend_context: str,
    backend_image: str,
    backend_build_env: t.Mapping[str, t.Any],
    backend_working_dir: str,
) -> list[Problem]:
    variable, path = "backend_requirements_dev", backend_requirements_dev if backend_target == "dev" else ""
    source = "" if backend_image else backend_context
    return requirements_file_problems(variable, path, source, backend_build_env, backend_working_dir)


def constraints_problems(
    backend_constraints: str,
    backend_context: str,
    backend_image: str,
    backend_build_env: t.Mapping[str, t.Any],
    backend_working_dir: str,
) -> list[Problem]:
    variable = "backend_constraints"
    if backend_constraints and not backend_context and not backend_image:
        remedy = "set backend_context to the directory that holds it"
        return [Problem(variable, "has no backend_context to lie in", remedy, backend_constraints)]
    source = "" if backend_image else backend_context
    return requirements_file_problems(variable, backend_constraints, source, backend_build_env, backend_working_dir)


def requirements_file_problems(
    variable: str, path: str, context: str, build_env: t.Mapping[str, t.Any], working_dir: str
) -> list[Problem]:
    """A requirements or lock file with what it names; one without a source is not used."""
    if not path or not os.path.isdir(context):
        return []
    if not os.path.isfile(os.path.join(context, path)):
        remedy = "lock your requirements into %s" % path
        if variable == "backend_constraints":
            remedy = "add the file or empty the variable"
        return [Problem(variable, "no such file in backend_context", remedy, shown(path))]
    if path.endswith((".lock", ".toml")) and not INSTALLABLE.fullmatch(os.path.basename(path)):
        text = "is a lock file that uv does not read"
        remedy = (
            "write requirements from it (`poetry export`, `pipenv requirements`, pip-tools), or lock with `uv lock`"
        )
        return [Problem(variable, text, remedy, shown(path))]
    try:
        skipped = ignore_filter(ignore_text(context))
    except CatalogError:
        # The catalog, which reads the whole tree, tells it.
        return []
    environment = {name: str(value) for name, value in build_env.items()}
    needs = requirement_files.inspect(
        context, {variable: path}, skipped=skipped, environment=environment, working_dir=working_dir
    )
    return [
        Problem(variable, text if subject == variable else "%s: %s" % (subject, text), remedy, shown(path))
        for subject, text, remedy in needs.faults
    ]


def python_problems(
    backend_context: str,
    backend_image: str,
    backend_requirements: str,
    backend_base_image: str,
    backend_python: str,
) -> list[Problem]:
    """The Python that the source asks for against the one of the image."""
    if backend_image:
        return []
    if backend_python and not backend_base_image and backend_python != requirement_files.IMAGE_PYTHON:
        text = "is not the Python of the stack's own images, %s" % requirement_files.IMAGE_PYTHON
        remedy = "set backend_base_image to an image that has it, such as docker.io/library/python:%s-slim-trixie"
        return [Problem("backend_python", text, remedy % backend_python, shown(backend_python))]
    if not os.path.isdir(backend_context):
        return []
    faults = requirement_files.python_faults(
        backend_context,
        [".", os.path.dirname(backend_requirements) or "."],
        requirement_files.image_python(backend_base_image, backend_python),
        chosen=bool(backend_python),
    )
    return [Problem(*fault) for fault in faults]


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
        Problem("backend_redis_uses.%s.instance" % name, "no such instance", remedy, shown(use.get("instance") or name))
        for name, use in backend_redis_uses.items()
        if (use.get("instance") or name) not in redis_instances
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
        python_problems,
        base_image_problems,
        serving_problems,
        celery_problems,
        debug_problems,
        environment_twice_problems,
        release_environment_twice_problems,
        file_twice_problems,
        redis_use_problems,
        volume_problems,
        backup_volume_problems,
        url_problems,
        location_problems,
    )
)


def unquoted_problems(raw: t.Mapping[str, t.Any]) -> list[Problem]:
    """Values of environments as they are written: YAML reads words and numbers, and an application gets text."""
    problems = []
    for name, *steps in (place.split(".") for place in (*ENVIRONMENTS, "backend_secret_env")):
        for path, value in select(raw.get(name), [*steps, "*"], name):
            if isinstance(value, bool):
                text = "is true or false for YAML, and which word the application would get is a guess"
                remedy = 'write the word that it reads in quotes, such as "%d" or "%s"' % (value, str(value).lower())
            elif isinstance(value, (int, float)):
                text = "is a number for YAML, which is written as it likes"
                remedy = 'write it in quotes, such as "%s"' % value
            else:
                continue
            problems.append(Problem(path, text, remedy, "" if name == "backend_secret_env" else shown(value)))
    return problems


def secret_name_problems(values: t.Mapping[str, t.Any]) -> list[Problem]:
    """Environment variables that are secrets by their names; those of a build are stand-ins for real ones."""
    problems = []
    for name, *steps in (place.split(".") for place in ENVIRONMENTS if place != "backend_build_env"):
        for path, value in select(values.get(name), [*steps, "*"], name):
            key = path.rpartition(".")[2]
            # Neither a switch nor the path of a file is secret.
            if SECRET_NAME.search(key) and not re.fullmatch(r"|none|true|false|yes|no|\d|/.*", str(value).lower()):
                part = "release_" if name in (*RELEASES, "backend_release_env") else ""
                remedy = "move it to backend_%ssecret_env, or to backend_%ssecrets when the application reads %s_FILE"
                remedy %= (part, part, key)
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
    "backend_release_secret_env",
)
SERVICES = {"postgres": "stack_database", "redis": "stack_redis"}


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


def reads_of(raw: t.Mapping[str, t.Any]) -> Reads:
    return Reads(raw, ("stack_redis", "stack_database", "stack_database_owner"))


def redis_reference_problems(raw: t.Mapping[str, t.Any], uses: t.Collection[str]) -> list[Problem]:
    """Templates that ask for a use of Redis that nobody declared."""
    problems, reads = [], reads_of(raw)
    for name in REFERRING:
        for path, text in leaves(raw.get(name), name):
            asked = {str(one[1]) for one in reads(text) if one[0] == "stack_redis" and len(one) > 1}
            for use in sorted(asked - {ANY} - set(uses)):
                wrong = "refers to stack_redis.%s, which backend_redis_uses does not have" % use
                problems.append(Problem(path, wrong, "add it there, or take it out of %s" % name))
    return problems


PLAIN_REDIS = re.compile(r"\bredis://[^\s\0]*(?:\0\d+\0[^\s\0]*)+")
# Modes of libpq in which it does not look whose server it speaks to.
UNVERIFIED = re.compile(r"(?i)sslmode\W{1,5}(disable|allow|prefer|require)\b")


def plain_redis_problems(raw: t.Mapping[str, t.Any]) -> list[Problem]:
    """Templates by which an application would speak plain, or to anybody, in a fleet: its ports speak TLS."""
    problems: list[Problem] = []
    reads = reads_of(raw)
    asked: dict[str, set[tuple[t.Any, ...]]] = {}
    for path, text in [(path, text) for name in REFERRING for path, text in leaves(raw.get(name), name)]:
        written, values = reads.texts(text)
        asked[path] = {one for one in reads(text) if one[0] == "stack_redis"}
        urls = "".join(PLAIN_REDIS.findall(written))
        if any(one[0] == "stack_redis" for mark in MARK.findall(urls) for one in values[int(mark)]):
            remedy = "write {{ stack_redis.<use>.url }}, or rediss:// with the authority of stack_redis.<use>.ca"
            problems.append(Problem(path, "speaks plain to a port of TLS: redis:// in a fleet", remedy))
        # As an entry of its own, or within what names the database.
        mode = UNVERIFIED.fullmatch("%s=%s" % (path[-len("sslmode") :], text))
        if not mode and any(one[0] != "stack_redis" for one in reads(text)):
            mode = UNVERIFIED.search(written)
        if mode:
            wrong = "takes the database for whoever answers: sslmode %s in a fleet" % mode[1]
            remedy = "write {{ stack_database.sslmode }}, or leave it out: PGSSLMODE is set"
            problems.append(Problem(path, wrong, remedy, warning=True))
    told = [one for paths in asked.values() for one in paths if len(one) == 1 or tells_of_tls(one)]
    named: dict[str, str] = {}
    for path, paths in asked.items():
        for one in paths:
            if one[2:3] == ("host",):
                named.setdefault(str(one[1]), path)
    for use, path in named.items():
        if not any(len(one) == 1 or one[1] in (use, ANY) for one in told):
            shown_use = "<use>" if use == ANY else use
            text = "names the host of stack_redis.%s, and nothing its tls: in a fleet the port speaks TLS" % shown_use
            remedy = "give the application stack_redis.%s.tls and .ca as well" % shown_use
            problems.append(Problem(path, text, remedy, warning=True))
    return problems


def tells_of_tls(path: tuple[t.Any, ...]) -> bool:
    """Whether what a template asks for holds that the port speaks TLS, as the whole of a use does."""
    if len(path) > 2:
        return path[2] in ("tls", "ca", "url", ANY)
    return path[1] != ANY
