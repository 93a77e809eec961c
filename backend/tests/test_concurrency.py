"""Workers side by side, with rows that are really committed, and workers that die."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone

from broadcasts import services
from broadcasts.models import Broadcast, Delivery
from tests.sink import Sink

pytestmark = pytest.mark.django_db(transaction=True)
BACKEND = Path(__file__).resolve().parents[1]
WORKERS = 6
Make = Callable[..., Any]


def at_the_same_time(work: Callable[[], Any]) -> list[Any]:
    barrier = threading.Barrier(WORKERS)

    def run() -> Any:
        try:
            connection.ensure_connection()
            barrier.wait()
            return work()
        finally:
            connection.close()

    with ThreadPoolExecutor(WORKERS) as pool:
        return [future.result() for future in [pool.submit(run) for _ in range(WORKERS)]]


def test_broadcast_is_started_by_exactly_one_worker(make_broadcast: Make) -> None:
    broadcast = make_broadcast(20, start=False)
    results = at_the_same_time(lambda: services.start_broadcast(broadcast.pk))
    assert sorted(results) == [False] * (WORKERS - 1) + [True]
    assert broadcast.deliveries.count() == 20


def test_ticks_at_the_same_time_start_it_once(make_broadcast: Make) -> None:
    broadcast = make_broadcast(20, start=False)
    at_the_same_time(services.advance_broadcasts)
    assert broadcast.deliveries.count() == 20


def test_workers_share_a_broadcast_and_nobody_gets_it_twice(make_broadcast: Make, smtp: Sink, settings: Any) -> None:
    settings.BROADCAST_BATCH_SIZE = 4
    broadcast = make_broadcast(40)

    def work() -> None:
        while services.deliver_batch(broadcast.pk):
            pass

    at_the_same_time(work)
    assert smtp.received == {f"r{n}@example.com": 1 for n in range(40)}
    assert smtp.sessions > WORKERS
    broadcast.refresh_from_db()
    assert broadcast.status == Broadcast.Status.FINISHED


def test_claimed_delivery_is_skipped_by_others(make_broadcast: Make, smtp: Sink) -> None:
    broadcast = make_broadcast(2)
    smtp.delay = 0.5
    outcomes = at_the_same_time(lambda: services.deliver_batch(broadcast.pk))
    assert not any(outcomes)
    assert smtp.received.total() == 2


@pytest.fixture
def worker(process_environment: dict[str, str], mail: Sink, tmp_path: Path) -> Iterator[Make]:
    running: list[subprocess.Popen[bytes]] = []
    log = tmp_path / "worker.log"

    def start(*options: str, **variables: str) -> subprocess.Popen[bytes]:
        env = process_environment | {
            "EMAIL_HOST": "127.0.0.1",
            "EMAIL_PORT": str(mail.port),
            "BROADCAST_BATCH_SIZE": "10",
        }
        command = [sys.executable, "-m", "celery", "-A", "config", "worker", "-l", "INFO", "--without-mingle", *options]
        with log.open("ab") as output:
            process = subprocess.Popen(
                command, env=env | variables, cwd=BACKEND, stdout=output, stderr=output, start_new_session=True
            )
        running.append(process)
        return process

    yield start
    for process in running:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    print(log.read_text(errors="replace") if log.exists() else "")


def test_worker_delivers_what_was_composed(make_broadcast: Make, worker: Make, mail: Sink, eventually: Make) -> None:
    broadcast = make_broadcast(25, start=False)
    process = worker("-c", "2")
    eventually(lambda: Broadcast.objects.filter(pk=broadcast.pk, status="finished").exists())
    assert mail.received == {f"r{n}@example.com": 1 for n in range(25)}
    process.terminate()
    assert process.wait(timeout=30) == 0


def test_beat_starts_a_scheduled_broadcast_when_its_time_has_come(
    make_broadcast: Make, worker: Make, mail: Sink, eventually: Make, tmp_path: Path
) -> None:
    moment = timezone.now() + timedelta(seconds=4)
    broadcast = make_broadcast(3, start=False, scheduled_at=moment)
    worker("-c", "1", "-B", "-s", str(tmp_path / "schedule"), BROADCAST_TICK_SECONDS="0.5")
    eventually(lambda: Broadcast.objects.filter(pk=broadcast.pk, status="finished").exists())
    assert mail.received.total() == 3
    assert not broadcast.deliveries.filter(sent_at__lt=moment).exists()


def test_killed_worker_sends_nothing_twice_that_was_recorded(
    make_broadcast: Make, worker: Make, mail: Sink, eventually: Make, tmp_path: Path
) -> None:
    mail.delay = 0.4
    broadcast = make_broadcast(40, start=False)
    first = worker("-c", "2")
    sent = broadcast.deliveries.filter(state=Delivery.State.SENT)
    eventually(lambda: sent.count() >= 8)
    os.killpg(first.pid, signal.SIGKILL)
    first.wait()
    mail.delay = 0.0

    # The database notices the broken connections and gives the rows back.
    def nothing_is_locked() -> bool:
        pending = broadcast.deliveries.filter(state=Delivery.State.PENDING)
        with services.transaction.atomic():
            return pending.select_for_update(skip_locked=True).count() == pending.count()

    eventually(nothing_is_locked)
    recorded = set(sent.values_list("address", flat=True))
    assert 8 <= len(recorded) < 40

    Broadcast.objects.filter(pk=broadcast.pk).update(next_check_at=timezone.now())
    worker("-c", "2", "-B", "-s", str(tmp_path / "schedule"), BROADCAST_TICK_SECONDS="0.5")
    eventually(lambda: Broadcast.objects.filter(pk=broadcast.pk, status="finished").exists())
    assert set(mail.received) == {f"r{n}@example.com" for n in range(40)}
    assert {mail.received[address] for address in recorded} == {1}
    # Nothing can tell whether the message that was under way at the moment of death arrived: at most one per process.
    assert mail.received.total() <= 40 + 2
