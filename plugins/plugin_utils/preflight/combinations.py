# MIT License (see LICENSE)
"""Variables of the application that must agree with each other."""

from __future__ import annotations

import inspect
import typing as t

from ansible_collections.broadcast.stack.plugins.plugin_utils.preflight.domains import (
    domain_problems,
    redirect_problems,
)
from ansible_collections.broadcast.stack.plugins.plugin_utils.preflight.image import (
    base_image_problems,
    constraints_problems,
    context_problems,
    extras_problems,
    hashes_problems,
    python_problems,
    ready_image_problems,
    requirements_dev_problems,
    requirements_problems,
    wheels_problems,
)
from ansible_collections.broadcast.stack.plugins.plugin_utils.preflight.networks import subnet_prefix_problems
from ansible_collections.broadcast.stack.plugins.plugin_utils.preflight.problems import Problem, in_both, shown
from ansible_collections.broadcast.stack.plugins.plugin_utils.preflight.values import truthy


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
