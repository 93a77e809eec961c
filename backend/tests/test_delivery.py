from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from broadcasts import services
from broadcasts.channels import EmailChannel
from broadcasts.models import Broadcast, Delivery
from tests.sink import Sink

pytestmark = pytest.mark.django_db
Make = Callable[..., Any]


def make_due(broadcast: Broadcast) -> None:
    broadcast.deliveries.filter(state="pending").update(next_attempt_at=timezone.now() - timedelta(seconds=1))


def test_everybody_gets_the_message_through_one_connection(make_broadcast: Make, smtp: Sink) -> None:
    broadcast = make_broadcast(10)
    assert not services.deliver_batch(broadcast.pk)
    assert smtp.received == {f"r{n}@example.com": 1 for n in range(10)}
    assert smtp.sessions == 1
    broadcast.refresh_from_db()
    assert broadcast.status == Broadcast.Status.FINISHED
    assert broadcast.finished_at
    assert not broadcast.deliveries.exclude(state="sent", attempts=1).exists()


def test_message_says_what_was_composed(make_broadcast: Make, smtp: Sink, settings: Any) -> None:
    settings.DEFAULT_FROM_EMAIL = "News <news@sender.example>"
    broadcast = make_broadcast(1, subject="Zürich — 東京", body="Grüße")
    services.deliver_batch(broadcast.pk)
    (message,) = smtp.messages
    key = broadcast.deliveries.get().key
    assert message["Message-ID"] == f"<{key}@sender.example>"
    assert message["From"] == "News <news@sender.example>"
    assert message.get_payload(decode=True).decode().strip() == "Grüße"


def test_batch_again_sends_nothing_again(make_broadcast: Make, smtp: Sink) -> None:
    broadcast = make_broadcast(3)
    services.deliver_batch(broadcast.pk)
    Broadcast.objects.update(status=Broadcast.Status.SENDING)
    assert not services.deliver_batch(broadcast.pk)
    assert set(smtp.received.values()) == {1}
    broadcast.refresh_from_db()
    assert broadcast.status == Broadcast.Status.FINISHED


def test_full_batch_asks_for_the_next(make_broadcast: Make, smtp: Sink, settings: Any) -> None:
    settings.BROADCAST_BATCH_SIZE = 2
    broadcast = make_broadcast(3)
    assert services.deliver_batch(broadcast.pk)
    assert smtp.received.total() == 2
    assert not services.deliver_batch(broadcast.pk)
    assert smtp.received.total() == 3


def test_batch_ends_when_its_time_is_over(make_broadcast: Make, smtp: Sink, settings: Any) -> None:
    settings.BROADCAST_BATCH_SECONDS = 0
    broadcast = make_broadcast(3)
    assert services.deliver_batch(broadcast.pk)
    assert smtp.received.total() == 1


def test_refused_recipient_fails_for_good_and_the_others_are_served(make_broadcast: Make, smtp: Sink) -> None:
    smtp.refusals["r1@example.com"] = ["550 no such user"]
    broadcast = make_broadcast(3)
    services.deliver_batch(broadcast.pk)
    failed = broadcast.deliveries.get(state="failed")
    assert (failed.address, failed.error, failed.attempts) == ("r1@example.com", "550 no such user", 1)
    assert set(smtp.received) == {"r0@example.com", "r2@example.com"}
    broadcast.refresh_from_db()
    assert broadcast.status == Broadcast.Status.FINISHED


def test_deferred_recipient_is_tried_again_later_and_sent_once(make_broadcast: Make, smtp: Sink, settings: Any) -> None:
    smtp.refusals["r1@example.com"] = ["451 try again later"]
    broadcast = make_broadcast(3)
    assert not services.deliver_batch(broadcast.pk)
    waiting = broadcast.deliveries.get(state="pending")
    assert waiting.error == "451 try again later"
    assert waiting.next_attempt_at >= timezone.now() + timedelta(seconds=settings.BROADCAST_RETRY_SECONDS - 5)
    broadcast.refresh_from_db()
    assert broadcast.status == Broadcast.Status.SENDING
    assert broadcast.next_check_at == waiting.next_attempt_at

    services.deliver_batch(broadcast.pk)
    assert smtp.received["r1@example.com"] == 0

    make_due(broadcast)
    services.deliver_batch(broadcast.pk)
    assert smtp.received == {f"r{n}@example.com": 1 for n in range(3)}
    waiting.refresh_from_db()
    assert (waiting.state, waiting.attempts, waiting.error) == ("sent", 2, "")


def test_last_attempt_fails_for_good(make_broadcast: Make, smtp: Sink, settings: Any) -> None:
    settings.BROADCAST_MAX_ATTEMPTS = 3
    smtp.refusals["r0@example.com"] = ["451 no"] * 5
    broadcast = make_broadcast(1)
    for _ in range(4):
        make_due(broadcast)
        services.deliver_batch(broadcast.pk)
    delivery = broadcast.deliveries.get()
    assert (delivery.state, delivery.attempts) == ("failed", 3)


def test_wait_doubles_up_to_its_limit(settings: Any) -> None:
    settings.BROADCAST_RETRY_SECONDS, settings.BROADCAST_RETRY_LIMIT_SECONDS = 10, 60
    for attempts, wait in [(1, 10), (2, 20), (3, 40), (4, 60), (50, 60)]:
        assert wait <= services.backoff(attempts) <= wait * 1.25


def test_failed_deliveries_are_retried_on_demand(make_broadcast: Make, smtp: Sink) -> None:
    smtp.refusals["r1@example.com"] = ["550 full"]
    broadcast = make_broadcast(2)
    services.deliver_batch(broadcast.pk)
    services.retry_failed(broadcast.pk)
    services.deliver_batch(broadcast.pk)
    broadcast.refresh_from_db()
    assert broadcast.status == Broadcast.Status.FINISHED
    assert smtp.received == {"r0@example.com": 1, "r1@example.com": 1}


def test_mail_server_that_is_down_uses_up_no_attempts(make_broadcast: Make, settings: Any, closed_port: int) -> None:
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", closed_port
    broadcast = make_broadcast(3)
    assert not services.deliver_batch(broadcast.pk)
    assert broadcast.deliveries.filter(state="pending", attempts=0).count() == 3
    broadcast.refresh_from_db()
    assert "mail server does not answer" in broadcast.problem
    assert broadcast.next_check_at > timezone.now()


def test_problem_disappears_when_the_mail_server_is_back(make_broadcast: Make, smtp: Sink) -> None:
    broadcast = make_broadcast(3)
    services.postpone(broadcast.pk, "The mail server does not answer")
    services.deliver_batch(broadcast.pk)
    broadcast.refresh_from_db()
    assert broadcast.problem == ""


def test_message_that_cannot_be_built_does_not_stop_the_others(make_broadcast: Make, smtp: Sink) -> None:
    broadcast = make_broadcast(3)
    broadcast.deliveries.filter(address="r0@example.com").update(address="a\nb@example.com")
    services.deliver_batch(broadcast.pk)
    assert set(smtp.received) == {"r1@example.com", "r2@example.com"}
    broken = broadcast.deliveries.get(state="pending")
    assert broken.attempts == 1
    assert "newlines" in broken.error


def test_cancelling_stops_what_is_not_sent_yet(make_broadcast: Make, smtp: Sink, settings: Any) -> None:
    settings.BROADCAST_BATCH_SIZE = 1
    broadcast = make_broadcast(3)
    services.deliver_batch(broadcast.pk)
    services.cancel_broadcast(broadcast.pk)
    assert not services.deliver_batch(broadcast.pk)
    with EmailChannel() as channel:
        assert services.deliver_next(broadcast.pk, channel) is None
    assert smtp.received.total() == 1
    assert broadcast.deliveries.filter(state=Delivery.State.PENDING).count() == 2


def test_server_that_hangs_up_costs_one_attempt_and_a_new_connection(make_broadcast: Make, smtp: Sink) -> None:
    smtp.refusals["r1@example.com"] = ["421 closing"]
    broadcast = make_broadcast(3)
    services.deliver_batch(broadcast.pk)
    assert broadcast.deliveries.filter(state="sent").count() == 2
    assert broadcast.deliveries.get(state="pending").attempts == 1
