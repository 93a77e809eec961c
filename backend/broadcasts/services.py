"""Everything that changes data.

The life of a broadcast: scheduled -> sending -> finished, or cancelled on the way. Starting it writes one pending
delivery for each recipient. A delivery is claimed by locking its row, sent, and recorded as sent or failed in the same
transaction: who dies half-way releases the lock with nothing recorded, who comes second finds the row taken or no
longer pending. So tasks carry no state, may run twice, and may be lost; `advance_broadcasts` puts new ones into the
queue.
"""

import logging
import math
import random
import time
from collections.abc import Iterable
from datetime import datetime, timedelta
from functools import partial
from itertools import batched
from typing import Any

from celery.exceptions import SoftTimeLimitExceeded
from django.conf import settings
from django.contrib.auth.models import AbstractBaseUser
from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models import Min
from django.utils import timezone

from broadcasts import queue, selectors
from broadcasts.channels import (
    DeliveryChannel,
    PermanentError,
    TransientError,
    UnavailableError,
    channel_for,
)
from broadcasts.models import Audience, Broadcast, Channel, Delivery, Recipient

logger = logging.getLogger(__name__)

INSERT_SIZE = 1000


def create_broadcast(
    *,
    author: AbstractBaseUser | None,
    subject: str,
    body: str,
    audience: Audience,
    channel: str = Channel.EMAIL,
    scheduled_at: datetime | None = None,
) -> Broadcast:
    broadcast = Broadcast(
        author=author,
        subject=subject,
        body=body,
        audience=audience,
        channel=channel,
        scheduled_at=scheduled_at or timezone.now(),
    )
    submit_broadcast(broadcast)
    return broadcast


@transaction.atomic
def submit_broadcast(broadcast: Broadcast) -> None:
    """Saves a new broadcast and starts it when its time has come."""
    broadcast.full_clean()
    check_reachable(broadcast.audience, broadcast.channel)
    broadcast.save()
    if broadcast.scheduled_at <= timezone.now():
        transaction.on_commit(partial(queue.start, broadcast.pk))


def check_reachable(audience: Audience, channel: str) -> None:
    if channel == Channel.EMAIL and not settings.EMAIL_HOST:
        raise ValidationError({"channel": "E-mail is not set up on this server (EMAIL_HOST)."})
    if not selectors.reachable_recipients(audience, channel).exists():
        raise ValidationError({"audience": "Nobody in this audience can be reached through this channel."})


@transaction.atomic
def start_broadcast(broadcast_id: int) -> bool:
    """Writes the deliveries of a broadcast that is due; False when there is nothing to start (any more)."""
    now = timezone.now()
    due = Broadcast.objects.filter(pk=broadcast_id, status=Broadcast.Status.SCHEDULED, scheduled_at__lte=now)
    broadcast = due.select_for_update(skip_locked=True, of=("self",)).select_related("audience").first()
    if broadcast is None:
        return False
    recipients = selectors.reachable_recipients(broadcast.audience, broadcast.channel)
    total = 0
    for rows in batched(recipients.iterator(chunk_size=INSERT_SIZE), INSERT_SIZE, strict=False):
        Delivery.objects.bulk_create(
            Delivery(
                broadcast=broadcast,
                recipient=recipient,
                name=recipient.name,
                address=selectors.address_of(recipient, broadcast.channel),
                next_attempt_at=now,
            )
            for recipient in rows
        )
        total += len(rows)
    broadcast.status = Broadcast.Status.SENDING
    broadcast.started_at = now
    broadcast.save(update_fields=["status", "started_at"])
    dispatch(broadcast)
    logger.info("Broadcast %s started: %s deliveries", broadcast.pk, total)
    return True


def dispatch(broadcast: Broadcast) -> None:
    """Puts tasks for all that is due into the queue; the caller holds the broadcast's lock in a transaction."""
    now = timezone.now()
    pending = broadcast.deliveries.filter(state=Delivery.State.PENDING)
    due = pending.filter(next_attempt_at__lte=now).count()
    if due:
        broadcast.next_check_at = now + timedelta(seconds=settings.BROADCAST_STALL_SECONDS)
        batches = min(settings.BROADCAST_PARALLEL_BATCHES, math.ceil(due / settings.BROADCAST_BATCH_SIZE))
        transaction.on_commit(partial(queue.deliver, broadcast.pk, batches))
    elif earliest := pending.aggregate(earliest=Min("next_attempt_at"))["earliest"]:
        broadcast.next_check_at = earliest
    else:
        broadcast.status = Broadcast.Status.FINISHED
        broadcast.finished_at = now
        broadcast.next_check_at = None
    broadcast.save(update_fields=["next_check_at", "status", "finished_at"])


def deliver_batch(broadcast_id: int) -> bool:
    """Delivers until the batch is full, its time is over or nothing is left to claim; True when there is more to do."""
    broadcast = Broadcast.objects.filter(pk=broadcast_id, status=Broadcast.Status.SENDING).first()
    if broadcast is None:
        return False
    end = time.monotonic() + settings.BROADCAST_BATCH_SECONDS
    outcomes: list[str] = []
    exhausted = False
    problem = ""
    with channel_for(broadcast) as channel:
        try:
            while len(outcomes) < settings.BROADCAST_BATCH_SIZE and not exhausted:
                outcome = deliver_next(broadcast_id, channel)
                if outcome:
                    outcomes.append(outcome)
                exhausted = outcome is None
                if time.monotonic() >= end:
                    break
        except UnavailableError as error:
            problem = str(error)
    if outcomes:
        counts = {state: outcomes.count(state) for state in sorted(set(outcomes))}
        logger.info("Broadcast %s: %s", broadcast_id, ", ".join(f"{count} {state}" for state, count in counts.items()))
    if problem:
        postpone(broadcast_id, problem)
        return False
    return settle(broadcast_id, exhausted=exhausted, progressed=Delivery.State.SENT in outcomes)


@transaction.atomic
def deliver_next(broadcast_id: int, channel: DeliveryChannel) -> str | None:
    """Claims, sends and records one delivery; its new state, or None when there is none to claim."""
    delivery = (
        Delivery.objects.filter(
            broadcast_id=broadcast_id,
            broadcast__status=Broadcast.Status.SENDING,
            state=Delivery.State.PENDING,
            next_attempt_at__lte=timezone.now(),
        )
        .select_related("broadcast")
        .select_for_update(skip_locked=True, of=("self",))
        .order_by("next_attempt_at", "id")
        .first()
    )
    if delivery is None:
        return None
    delivery.attempts += 1
    delivery.error = ""
    try:
        channel.send(delivery.broadcast, delivery)
    except PermanentError as error:
        fail(delivery, str(error))
    except TransientError as error:
        fail_or_retry(delivery, str(error))
    except (UnavailableError, SoftTimeLimitExceeded):
        raise
    except Exception as error:
        # One message that cannot even be built must not stop all others.
        logger.exception("Delivery %s failed unexpectedly", delivery.pk)
        fail_or_retry(delivery, f"{type(error).__name__}: {error}")
    else:
        delivery.state = Delivery.State.SENT
        delivery.sent_at = timezone.now()
    delivery.save(update_fields=["attempts", "error", "state", "sent_at", "next_attempt_at"])
    return delivery.state


def fail(delivery: Delivery, reason: str) -> None:
    delivery.state = Delivery.State.FAILED
    delivery.error = shorten(reason)


def fail_or_retry(delivery: Delivery, reason: str) -> None:
    if delivery.attempts >= settings.BROADCAST_MAX_ATTEMPTS:
        fail(delivery, reason)
        return
    delivery.error = shorten(reason)
    delivery.next_attempt_at = timezone.now() + timedelta(seconds=backoff(delivery.attempts))


def backoff(attempts: int) -> float:
    """Doubles with every attempt; up to a quarter is added at random, so that retries do not come all at once."""
    wait = min(settings.BROADCAST_RETRY_SECONDS * 2 ** (attempts - 1), settings.BROADCAST_RETRY_LIMIT_SECONDS)
    return wait * random.uniform(1, 1.25)  # noqa: S311 - spread, not secrecy


def settle(broadcast_id: int, *, exhausted: bool, progressed: bool) -> bool:
    """After a batch: finishes the broadcast, or sets when to look at it again; True when this task should go on."""
    now = timezone.now()
    sending = Broadcast.objects.filter(pk=broadcast_id, status=Broadcast.Status.SENDING)
    pending = Delivery.objects.filter(broadcast_id=broadcast_id, state=Delivery.State.PENDING)
    earliest = pending.aggregate(earliest=Min("next_attempt_at"))["earliest"]
    if earliest is None:
        finish(broadcast_id)
        return False
    go_on = earliest <= now and not exhausted
    wait = settings.BROADCAST_STALL_SECONDS if go_on else settings.BROADCAST_TICK_SECONDS
    changes: dict[str, Any] = {"next_check_at": now + timedelta(seconds=wait)}
    if not go_on:
        # What is due but not to be claimed is in the hands of another task.
        changes["next_check_at"] = max(changes["next_check_at"], earliest)
    if progressed:
        changes["problem"] = ""
    return bool(sending.update(**changes)) and go_on


@transaction.atomic
def finish(broadcast_id: int) -> None:
    sending = Broadcast.objects.select_for_update().filter(pk=broadcast_id, status=Broadcast.Status.SENDING)
    if broadcast := sending.first():
        broadcast.problem = ""
        broadcast.save(update_fields=["problem"])
        dispatch(broadcast)
        if broadcast.status == Broadcast.Status.FINISHED:
            logger.info("Broadcast %s finished", broadcast_id)


def postpone(broadcast_id: int, problem: str) -> None:
    logger.warning("Broadcast %s waits: %s", broadcast_id, problem)
    later = timezone.now() + timedelta(seconds=settings.BROADCAST_UNAVAILABLE_SECONDS)
    sending = Broadcast.objects.filter(pk=broadcast_id, status=Broadcast.Status.SENDING)
    sending.update(next_check_at=later, problem=shorten(problem))


def advance_broadcasts() -> None:
    """What beat calls: starts what is due, and takes up what waits for a retry or lost its tasks."""
    for broadcast_id in selectors.due_broadcast_ids():
        start_broadcast(broadcast_id)
    for broadcast_id in selectors.waiting_broadcast_ids():
        resume_broadcast(broadcast_id)


@transaction.atomic
def resume_broadcast(broadcast_id: int) -> None:
    waiting = selectors.waiting_broadcasts().filter(pk=broadcast_id)
    if broadcast := waiting.select_for_update(skip_locked=True).first():
        dispatch(broadcast)


@transaction.atomic
def cancel_broadcast(broadcast_id: int) -> Broadcast:
    """What is not sent yet will not be; a message that is on its way at this moment still arrives."""
    broadcast = Broadcast.objects.select_for_update().get(pk=broadcast_id)
    if not broadcast.can_cancel:
        raise ValidationError(f"This broadcast is {broadcast.get_status_display().lower()}, it cannot be cancelled.")
    broadcast.status = Broadcast.Status.CANCELLED
    broadcast.finished_at = timezone.now()
    broadcast.next_check_at = None
    broadcast.save(update_fields=["status", "finished_at", "next_check_at"])
    return broadcast


@transaction.atomic
def retry_failed(broadcast_id: int) -> Broadcast:
    """Tries all failed deliveries of a broadcast again, from the beginning."""
    broadcast = Broadcast.objects.select_for_update().get(pk=broadcast_id)
    if broadcast.status not in {Broadcast.Status.SENDING, Broadcast.Status.FINISHED}:
        raise ValidationError(f"This broadcast is {broadcast.get_status_display().lower()}, nothing can be retried.")
    failed = broadcast.deliveries.filter(state=Delivery.State.FAILED)
    if not failed.update(state=Delivery.State.PENDING, attempts=0, next_attempt_at=timezone.now()):
        raise ValidationError("No delivery of this broadcast has failed.")
    broadcast.status = Broadcast.Status.SENDING
    broadcast.finished_at = None
    broadcast.save(update_fields=["status", "finished_at"])
    dispatch(broadcast)
    return broadcast


def add_recipients(audience: Audience, rows: Iterable[dict[str, Any]]) -> int:
    """Adds those whose address the audience does not have yet, and says how many that were."""
    before = audience.recipients.count()
    recipients = [Recipient(audience=audience, **row) for row in rows]
    Recipient.objects.bulk_create(recipients, batch_size=INSERT_SIZE, ignore_conflicts=True)
    return audience.recipients.count() - before


def shorten(text: str) -> str:
    # PostgreSQL has no NUL in text, and a refusing server may send one.
    return text.replace("\x00", "").strip()[:300]
