import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from django.utils import timezone

from broadcasts import selectors, services
from broadcasts.models import Audience, Broadcast, Channel, Delivery, Recipient
from tests.test_environment import manage

pytestmark = pytest.mark.django_db
Make = Callable[..., Any]


def test_broadcast_for_now_is_queued_when_it_is_saved(
    make_audience: Make, django_capture_on_commit_callbacks: Make
) -> None:
    with django_capture_on_commit_callbacks(execute=True) as callbacks:
        broadcast = services.create_broadcast(author=None, subject="A", body="B", audience=make_audience())
    assert len(callbacks) == 1
    assert broadcast.status == Broadcast.Status.SCHEDULED


def test_broadcast_for_later_is_left_to_beat(make_audience: Make, django_capture_on_commit_callbacks: Make) -> None:
    later = timezone.now() + timedelta(hours=1)
    with django_capture_on_commit_callbacks() as callbacks:
        broadcast = services.create_broadcast(
            author=None, subject="A", body="B", audience=make_audience(), scheduled_at=later
        )
    assert callbacks == []
    assert not services.start_broadcast(broadcast.pk)
    assert broadcast.deliveries.count() == 0


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"subject": ""}, "subject"),
        ({"subject": "A\r\nBcc: everybody@example.com"}, "subject"),
        ({"body": ""}, "body"),
        ({"channel": "pigeon"}, "channel"),
        ({"channel": Channel.WEBHOOK}, "audience"),
    ],
)
def test_wrong_broadcast_is_refused(make_audience: Make, change: dict[str, str], field: str) -> None:
    with pytest.raises(ValidationError) as caught:
        services.create_broadcast(**{"author": None, "subject": "A", "body": "B", "audience": make_audience()} | change)
    assert list(caught.value.message_dict) == [field]
    assert not Broadcast.objects.exists()


def test_email_without_a_mail_server_is_refused(make_audience: Make, settings: Any) -> None:
    settings.EMAIL_HOST = ""
    with pytest.raises(ValidationError, match="EMAIL_HOST"):
        services.create_broadcast(author=None, subject="A", body="B", audience=make_audience())


def test_start_writes_one_delivery_for_each_reachable_recipient(make_audience: Make, make_broadcast: Make) -> None:
    audience = make_audience(3)
    audience.recipients.filter(email="r0@example.com").update(is_active=False)
    Recipient.objects.create(audience=audience, webhook_url="https://hooks.example.com/1")
    broadcast = make_broadcast(audience=audience)
    addresses = broadcast.deliveries.values_list("address", flat=True)
    assert list(addresses) == ["r1@example.com", "r2@example.com"]
    assert broadcast.status == Broadcast.Status.SENDING


def test_starting_twice_changes_nothing(make_broadcast: Make) -> None:
    broadcast = make_broadcast(3)
    assert not services.start_broadcast(broadcast.pk)
    assert broadcast.deliveries.count() == 3


def test_broadcast_without_anybody_left_finishes_at_once(make_audience: Make, make_broadcast: Make) -> None:
    audience = make_audience(1)
    broadcast = make_broadcast(audience=audience, start=False)
    audience.recipients.all().delete()
    assert services.start_broadcast(broadcast.pk)
    broadcast.refresh_from_db()
    assert broadcast.status == Broadcast.Status.FINISHED


def test_database_holds_one_delivery_per_broadcast_and_recipient(make_broadcast: Make) -> None:
    delivery = make_broadcast(1).deliveries.get()
    with pytest.raises(IntegrityError), transaction.atomic():
        Delivery.objects.create(broadcast=delivery.broadcast, recipient=delivery.recipient, address="x@example.com")


def test_start_puts_at_most_the_configured_batches_into_the_queue(
    make_broadcast: Make, settings: Any, django_capture_on_commit_callbacks: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.BROADCAST_BATCH_SIZE, settings.BROADCAST_PARALLEL_BATCHES = 2, 4
    broadcast = make_broadcast(5, start=False)
    asked: list[tuple[int, int]] = []
    monkeypatch.setattr(services.queue, "deliver", lambda pk, batches=1: asked.append((pk, batches)))
    with django_capture_on_commit_callbacks(execute=True):
        services.start_broadcast(broadcast.pk)
    assert asked == [(broadcast.pk, 3)]
    broadcast.deliveries.first().delete()
    settings.BROADCAST_BATCH_SIZE = 1
    Broadcast.objects.update(next_check_at=timezone.now())
    with django_capture_on_commit_callbacks(execute=True):
        services.advance_broadcasts()
    assert asked[1:] == [(broadcast.pk, 4)]


@pytest.mark.django_db(transaction=True)
def test_composing_does_not_wait_for_a_broker_that_is_down(
    process_environment: dict[str, str], closed_port: int
) -> None:
    env = process_environment | {"EMAIL_HOST": "x", "CELERY_BROKER_URL": f"redis://127.0.0.1:{closed_port}/0"}
    start = time.monotonic()
    result = manage("demo_data", env=env)
    assert result.returncode == 0, result.stderr
    assert "The broker does not answer, the next tick sends broadcasts.start" in result.stdout
    # Without its own limit the client would try for minutes; generous, since the machine may be busy.
    assert time.monotonic() - start < 60
    services.advance_broadcasts()
    assert Broadcast.objects.get().deliveries.count() == 200


def test_advance_starts_what_is_due_and_only_that(make_broadcast: Make, make_audience: Make) -> None:
    due = make_broadcast(start=False)
    later = make_broadcast(
        audience=make_audience(name="Others"), start=False, scheduled_at=timezone.now() + timedelta(minutes=1)
    )
    services.advance_broadcasts()
    services.advance_broadcasts()
    due.refresh_from_db()
    later.refresh_from_db()
    assert (due.status, later.status) == (Broadcast.Status.SENDING, Broadcast.Status.SCHEDULED)
    assert due.deliveries.count() == 3


def test_cancelled_broadcast_never_starts(make_broadcast: Make) -> None:
    broadcast = make_broadcast(start=False)
    services.cancel_broadcast(broadcast.pk)
    assert not services.start_broadcast(broadcast.pk)
    with pytest.raises(ValidationError, match="cancelled"):
        services.cancel_broadcast(broadcast.pk)


def test_retry_is_refused_when_nothing_has_failed(make_broadcast: Make) -> None:
    with pytest.raises(ValidationError, match="No delivery"):
        services.retry_failed(make_broadcast().pk)


def test_adding_recipients_twice_adds_them_once(make_audience: Make) -> None:
    audience = make_audience(2)
    rows = [{"email": "R1@Example.com"}, {"email": "new@example.com"}, {"email": "new@example.com"}]
    assert services.add_recipients(audience, rows) == 1


def test_recipient_needs_an_address() -> None:
    with pytest.raises(ValidationError):
        Recipient(audience=Audience.objects.create(name="A"), name="Nobody").full_clean()


def test_progress_of_many_broadcasts_is_one_query(
    make_broadcast: Make, make_audience: Make, django_assert_num_queries: Make
) -> None:
    for number in range(4):
        make_broadcast(audience=make_audience(3, f"A{number}"))
    Delivery.objects.filter(address="r0@example.com").update(state="failed")
    Delivery.objects.filter(address="r1@example.com").update(state="sent", sent_at=timezone.now())
    with django_assert_num_queries(2):
        broadcasts = selectors.attach_progress(selectors.broadcasts())
    for broadcast in broadcasts:
        progress = broadcast.progress
        assert (progress.total, progress.sent, progress.failed, progress.pending) == (3, 1, 1, 1)
        assert progress.percent == 66
