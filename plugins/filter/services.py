# MIT License (see LICENSE)
"""What services have to run, from what the roles are told; see plugin_utils/services."""

from __future__ import annotations

import typing as t

from ansible_collections.broadcast.stack.plugins.plugin_utils.evaluation import plain
from ansible_collections.broadcast.stack.plugins.plugin_utils.services import register
from ansible_collections.broadcast.stack.plugins.plugin_utils.services.celery_worker import CeleryWorker
from ansible_collections.broadcast.stack.plugins.plugin_utils.services.django_web import DjangoWeb
from ansible_collections.broadcast.stack.plugins.plugin_utils.services.redis import Redis


def celery_worker_problems(said: t.Mapping[str, t.Any]) -> list[str]:
    return CeleryWorker.read(plain(said)).problems()


def celery_worker_containers(said: t.Mapping[str, t.Any], fixed: t.Mapping[str, t.Any]) -> list[dict[str, t.Any]]:
    return CeleryWorker.read(plain(said)).containers(plain(fixed))


def redis_problems(said: t.Mapping[str, t.Any]) -> list[str]:
    return Redis.read(plain(said)).problems()


def redis_containers(
    said: t.Mapping[str, t.Any], fixed: t.Mapping[str, t.Any], configuration: str
) -> list[dict[str, t.Any]]:
    return Redis.read(plain(said)).containers(plain(fixed), configuration)


def django_web_settings(said: t.Mapping[str, t.Any]) -> dict[str, t.Any]:
    return DjangoWeb.read(plain(said)).settings()


def django_web_problems(said: t.Mapping[str, t.Any]) -> list[str]:
    return DjangoWeb.read(plain(said)).problems()


def django_web_containers(said: t.Mapping[str, t.Any], fixed: t.Mapping[str, t.Any]) -> list[dict[str, t.Any]]:
    return DjangoWeb.read(plain(said)).containers(plain(fixed))


def django_web_probe(said: t.Mapping[str, t.Any], fixed: t.Mapping[str, t.Any]) -> list[t.Any]:
    return DjangoWeb.read(plain(said)).probe(plain(fixed))


def django_web_release_container(
    said: t.Mapping[str, t.Any], fixed: t.Mapping[str, t.Any], after: bool = False
) -> dict[str, t.Any]:
    return DjangoWeb.read(plain(said)).release_container(plain(fixed), after)


def django_web_release_timeout(said: t.Mapping[str, t.Any], after: bool = False) -> int:
    return DjangoWeb.read(plain(said)).release_timeout(after)


class FilterModule:
    """The register of services, and the problems and containers of some."""

    def filters(self) -> dict[str, object]:
        return {
            "celery_worker_containers": celery_worker_containers,
            "celery_worker_problems": celery_worker_problems,
            "redis_containers": redis_containers,
            "redis_problems": redis_problems,
            "service_hosts": register.service_hosts,
            "stack_members": register.stack_members,
            "stack_pattern": register.stack_pattern,
            "django_web_containers": django_web_containers,
            "django_web_probe": django_web_probe,
            "django_web_problems": django_web_problems,
            "django_web_release_container": django_web_release_container,
            "django_web_release_timeout": django_web_release_timeout,
            "django_web_settings": django_web_settings,
        }
