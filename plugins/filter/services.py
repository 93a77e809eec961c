# MIT License (see LICENSE)
"""What services have to run, from what the roles are told; see plugin_utils/services."""

from __future__ import annotations

import typing as t

from ansible_collections.broadcast.stack.plugins.plugin_utils.evaluation import plain
from ansible_collections.broadcast.stack.plugins.plugin_utils.services.celery_worker import CeleryWorker


def celery_worker_problems(said: t.Mapping[str, t.Any]) -> list[str]:
    return CeleryWorker.read(plain(said)).problems()


def celery_worker_containers(said: t.Mapping[str, t.Any], fixed: t.Mapping[str, t.Any]) -> list[dict[str, t.Any]]:
    return CeleryWorker.read(plain(said)).containers(plain(fixed))


class FilterModule:
    """Problems and containers of services."""

    def filters(self) -> dict[str, object]:
        return {
            "celery_worker_containers": celery_worker_containers,
            "celery_worker_problems": celery_worker_problems,
        }
