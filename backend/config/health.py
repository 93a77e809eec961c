"""Liveness says that this process answers and touches nothing else; readiness asks everything that serving needs."""

import functools
import logging
from collections.abc import Callable
from typing import TYPE_CHECKING

from django.conf import settings
from django.core.cache import cache
from django.db import connection
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.recorder import MigrationRecorder
from django.http import HttpRequest, JsonResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

if TYPE_CHECKING:
    import redis

logger = logging.getLogger(__name__)

# A probe's own time limit is a few seconds; a dependency that hangs has to be named within it.
TIMEOUT_SECONDS = 2


@require_safe
@never_cache
def live(_request: HttpRequest) -> JsonResponse:
    return JsonResponse({"status": "ok"})


@require_safe
@never_cache
def ready(_request: HttpRequest) -> JsonResponse:
    failing = [name for name, check in CHECKS.items() if not passes(name, check)]
    if failing:
        return JsonResponse({"status": "unavailable", "failing": failing}, status=503)
    return JsonResponse({"status": "ok", "checked": list(CHECKS)})


def passes(name: str, check: Callable[[], None]) -> bool:
    try:
        check()
    except Exception as error:  # noqa: BLE001 - whatever it is, the answer is "not ready"
        logger.warning("Not ready: %s: %s", name, error)
        return False
    return True


def check_database() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")


def check_migrations() -> None:
    unapplied = known_migrations() - set(MigrationRecorder(connection).applied_migrations())
    if unapplied:
        names = ", ".join(sorted(f"{label}.{name}" for label, name in unapplied))
        raise RuntimeError(f"unapplied migrations: {names}")


@functools.cache
def known_migrations() -> frozenset[tuple[str, str]]:
    loader = MigrationLoader(None, load=False)
    loader.load_disk()
    return frozenset(loader.disk_migrations)


def check_broker() -> None:
    broker().ping()


@functools.cache
def broker() -> "redis.Redis":
    # A sixth of the time that a start takes, which development pays for every saved file.
    import redis

    return redis.Redis.from_url(
        settings.CELERY_BROKER_URL, socket_connect_timeout=TIMEOUT_SECONDS, socket_timeout=TIMEOUT_SECONDS
    )


def check_cache() -> None:
    cache.get("health")


CHECKS: dict[str, Callable[[], None]] = {
    "database": check_database,
    "migrations": check_migrations,
    "broker": check_broker,
    "cache": check_cache,
}
