"""Everything that only reads."""

from collections.abc import Iterable
from dataclasses import dataclass

from django.db.models import Count, Q, QuerySet
from django.utils import timezone

from broadcasts.models import Audience, Broadcast, Channel, Delivery, Recipient


@dataclass(frozen=True)
class Progress:
    pending: int = 0
    sent: int = 0
    failed: int = 0

    @property
    def total(self) -> int:
        return self.pending + self.sent + self.failed

    @property
    def done(self) -> int:
        return self.sent + self.failed

    @property
    def percent(self) -> int:
        return 100 * self.done // self.total if self.total else 0


def audiences() -> QuerySet[Audience]:
    return Audience.objects.annotate(
        recipient_count=Count("recipients", filter=Q(recipients__is_active=True))
    ).order_by("name")


def broadcasts() -> QuerySet[Broadcast]:
    return Broadcast.objects.select_related("audience", "author")


def attach_progress(items: Iterable[Broadcast]) -> list[Broadcast]:
    """Counts the deliveries of all of them in one query."""
    broadcasts = list(items)
    counts: dict[int, dict[str, int]] = {}
    rows = Delivery.objects.filter(broadcast__in=broadcasts).order_by().values("broadcast_id", "state")
    for row in rows.annotate(count=Count("id")):
        counts.setdefault(row["broadcast_id"], {})[row["state"]] = row["count"]
    for broadcast in broadcasts:
        broadcast.progress = Progress(**counts.get(broadcast.pk, {}))
    return broadcasts


def progress_of(broadcast: Broadcast) -> Progress:
    return attach_progress([broadcast])[0].progress


def reachable_recipients(audience: Audience, channel: str) -> QuerySet[Recipient]:
    without = Q(email="") if channel == Channel.EMAIL else Q(webhook_url="")
    return audience.recipients.filter(is_active=True).exclude(without).order_by("id")


def address_of(recipient: Recipient, channel: str) -> str:
    return recipient.email if channel == Channel.EMAIL else recipient.webhook_url


def due_broadcast_ids() -> list[int]:
    due = Broadcast.objects.filter(status=Broadcast.Status.SCHEDULED, scheduled_at__lte=timezone.now())
    return list(due.order_by("scheduled_at").values_list("id", flat=True))


def waiting_broadcasts() -> QuerySet[Broadcast]:
    return Broadcast.objects.filter(status=Broadcast.Status.SENDING, next_check_at__lte=timezone.now())


def waiting_broadcast_ids() -> list[int]:
    return list(waiting_broadcasts().order_by("next_check_at").values_list("id", flat=True))
