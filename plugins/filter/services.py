# MIT License (see LICENSE)
"""What services have to run, from what the roles are told; see plugin_utils/services."""

from __future__ import annotations

import typing as t

from ansible_collections.broadcast.stack.plugins.plugin_utils.evaluation import plain
from ansible_collections.broadcast.stack.plugins.plugin_utils.services import register
from ansible_collections.broadcast.stack.plugins.plugin_utils.services.celery_worker import CeleryWorker
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
        }
