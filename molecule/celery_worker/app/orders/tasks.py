"""Tasks that leave a trace in Redis, where a test finds it."""

from __future__ import annotations

import os
import time

import redis
from celery import Task, shared_task
from django.conf import settings


def leave(key: str, text: str) -> None:
    with redis.Redis.from_url(settings.CELERY_BROKER_URL) as client:
        client.rpush(key, text)


@shared_task(bind=True)
def confirm(self: Task, order: str) -> None:
    leave(
        "trace:confirmed",
        f"{order} by {self.request.hostname.partition('@')[0]} in {os.environ.get('ORDERS_REGION', '-')}",
    )


@shared_task(bind=True, acks_late=True, reject_on_worker_lost=True)
def export(self: Task, order: str, seconds: float) -> None:
    leave("trace:exports", f"{order} started by {self.request.hostname.partition('@')[0]}")
    time.sleep(seconds)
    leave("trace:exports", f"{order} finished")


@shared_task
def tick() -> None:
    leave("trace:ticks", str(time.time()))
