# MIT License (see LICENSE)
"""What every value at a place of the application's variables must be."""

from __future__ import annotations

import re
import typing as t

from ansible_collections.broadcast.stack.plugins.plugin_utils.preflight.forms import (
    between,
    is_command,
    is_directives,
    is_requirement,
    is_smoke_path,
    is_text,
    like,
)
from ansible_collections.broadcast.stack.plugins.plugin_utils.preflight.problems import Problem, shown
from ansible_collections.broadcast.stack.plugins.plugin_utils.preflight.trees import select
from ansible_collections.broadcast.stack.plugins.plugin_utils.services.values import (
    LEAST_MEMORY_MB,
    host_name_fault,
    is_container_memory,
    is_container_name,
    is_positive_size,
    is_schedule,
)

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
        "has a command of its own, and that gets no %s; write them as its arguments" % ", ".join(sorted(OF_CELERY)),
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
    Rule(bool, "empty; write it as 512m", ("backend_web_memory", "backend_beat_memory")),
    Rule(
        lambda value: not value or is_container_memory(value),
        "not a size, or too small to start in; write it as 512m, %dm or more" % LEAST_MEMORY_MB,
        ("backend_web_memory", "backend_beat_memory", *each(CONTAINERS, "*", "memory")),
    ),
    Rule(
        between(0),
        "is negative; give a number of processors such as 1.5, 0 for all",
        ("backend_web_cpus", "backend_beat_cpus", *each(CONTAINERS, "*", "cpus")),
    ),
)
PLACES = tuple((tuple(place.split(".")), rule) for rule in RULES for place in rule.places)


def rule_problems(values: t.Mapping[str, t.Any], found: t.Iterable[Problem] = ()) -> list[Problem]:
    """Values against the rules; found: problems of subjects that are known already."""
    known = {problem.subject for problem in found}
    problems: dict[tuple[str, str], Problem] = {}
    for (name, *steps), rule in PLACES:
        for path, item in select(values[name], steps, name) if name in values else ():
            if path in known or rule.valid(item):
                continue
            # A key is in the path already, and a dictionary takes more than a line.
            told = "" if "@" in steps or isinstance(item, t.Mapping) else shown(item)
            fault, _semicolon, remedy = rule.says.partition("; ")
            problems.setdefault((path, told), Problem(path, fault, remedy, told))
    return list(problems.values())
