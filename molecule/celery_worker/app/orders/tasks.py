"""Tasks that leave a trace in Redis, where a test finds it."""

from __future__ import annotations

import os
import time

import redis
from celery import Task, chord, shared_task
from django.conf import settings
from redis.backoff import ConstantBackoff
from redis.retry import Retry


def store() -> redis.Redis:
    """Waits for a broker that is away: what a task did is told, whenever it was done."""
    return redis.Redis.from_url(settings.CELERY_BROKER_URL, retry=Retry(ConstantBackoff(0.5), 600))


def leave(key: str, text: str) -> None:
    with store() as client:
        client.rpush(key, text)


def gate(key: str) -> str:
    return f"gate:{key}"


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


# Tasks in every state that a broker knows: they wait until their gate is open, and tell when they are done.
def wait_for_gate(key: str) -> None:
    with store() as client:
        while not client.exists(gate(key)):
            time.sleep(0.5)


@shared_task(ignore_result=False)
def hold(key: str, name: str) -> None:
    leave(f"trace:{key}", f"{name} began")
    wait_for_gate(key)
    leave(f"trace:{key}", name)


@shared_task(acks_late=True, reject_on_worker_lost=True)
def hold_late(key: str, name: str) -> None:
    leave(f"trace:{key}", f"{name} began")
    wait_for_gate(key)
    leave(f"trace:{key}", name)


@shared_task(bind=True, max_retries=None)
def fail_once(self: Task, key: str, name: str) -> None:
    leave(f"trace:{key}", f"{name} began")
    if not self.request.retries:
        raise self.retry(countdown=20)
    leave(f"trace:{key}", name)


@shared_task(ignore_result=False)
def part(key: str, name: str) -> None:
    leave(f"trace:{key}", name)


@shared_task
def whole(_results: list, key: str, name: str) -> None:
    leave(f"trace:{key}", name)


def send_given(key: str) -> None:
    """For a worker that is asked to stop before their time has come, and gives them back."""
    for number in range(2):
        part.apply_async((key, f"given back {number}"), queue="given", countdown=40)


def send_all(key: str) -> None:
    """The pool default has two processes and fetches eight messages; exports has one and fetches one."""
    fail_once.delay(key, "retried")
    chord([part.s(key, "part 1"), hold.s(key, "part 2"), hold.s(key, "part 3")])(whole.s(key, "chord"))
    for number in range(2):
        hold.delay(key, f"prefetched {number}")
    part.apply_async((key, "countdown"), countdown=20)
    hold_late.apply_async((key, "late"), queue="exports")
    for number in range(3):
        part.apply_async((key, f"queued {number}"), queue="exports")
