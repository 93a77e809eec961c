import uuid

from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.validators import RegexValidator
from django.db import models
from django.db.models import Q
from django.db.models.functions import Lower
from django.utils import timezone

from broadcasts.webhooks import validate_webhook_url

one_line = RegexValidator(r"\A[^\r\n\x00]*\Z", "Line breaks are not possible here.")


class Channel(models.TextChoices):
    EMAIL = "email", "E-mail"
    WEBHOOK = "webhook", "Webhook"


class Audience(models.Model):
    name = models.CharField(max_length=200, unique=True, validators=[one_line])
    description = models.TextField(blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name


class Recipient(models.Model):
    audience = models.ForeignKey(Audience, on_delete=models.CASCADE, related_name="recipients")
    name = models.CharField(max_length=200, blank=True, validators=[one_line])
    email = models.EmailField(blank=True)
    webhook_url = models.CharField("webhook URL", max_length=500, blank=True, validators=[validate_webhook_url])
    is_active = models.BooleanField("active", default=True)

    class Meta:
        ordering = ["id"]
        constraints = [
            models.CheckConstraint(condition=~Q(email="", webhook_url=""), name="recipient_has_an_address"),
            models.UniqueConstraint(
                "audience",
                Lower("email"),
                condition=~Q(email=""),
                name="recipient_unique_email",
                violation_error_message="This audience has a recipient with this e-mail address.",
            ),
            models.UniqueConstraint(
                "audience",
                "webhook_url",
                condition=~Q(webhook_url=""),
                name="recipient_unique_webhook_url",
                violation_error_message="This audience has a recipient with this webhook URL.",
            ),
        ]

    def __str__(self) -> str:
        return self.name or self.email or self.webhook_url

    def clean(self) -> None:
        if not self.email and not self.webhook_url:
            raise ValidationError("A recipient needs an e-mail address or a webhook URL.")


class Broadcast(models.Model):
    class Status(models.TextChoices):
        SCHEDULED = "scheduled", "Scheduled"
        SENDING = "sending", "Sending"
        FINISHED = "finished", "Finished"
        CANCELLED = "cancelled", "Cancelled"

    subject = models.CharField(max_length=200, validators=[one_line])
    body = models.TextField()
    audience = models.ForeignKey(Audience, on_delete=models.PROTECT, related_name="broadcasts")
    channel = models.CharField(max_length=10, choices=Channel, default=Channel.EMAIL)
    scheduled_at = models.DateTimeField("send at", default=timezone.now)
    status = models.CharField(max_length=10, choices=Status, default=Status.SCHEDULED, editable=False)
    author = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, editable=False, related_name="broadcasts"
    )
    created_at = models.DateTimeField(auto_now_add=True)
    started_at = models.DateTimeField(null=True, editable=False)
    finished_at = models.DateTimeField(null=True, editable=False)
    # When beat has to look at it again: to retry, or because its tasks were lost.
    next_check_at = models.DateTimeField(null=True, editable=False)
    problem = models.CharField(max_length=300, blank=True, editable=False)

    class Meta:
        ordering = ["-created_at", "-id"]
        indexes = [
            models.Index(fields=["scheduled_at"], condition=Q(status="scheduled"), name="broadcast_due"),
            models.Index(fields=["next_check_at"], condition=Q(status="sending"), name="broadcast_to_check"),
            models.Index(fields=["-created_at", "-id"], name="broadcast_newest"),
        ]

    def __str__(self) -> str:
        return self.subject

    @property
    def can_cancel(self) -> bool:
        return self.status in {self.Status.SCHEDULED, self.Status.SENDING}


class Delivery(models.Model):
    class State(models.TextChoices):
        PENDING = "pending", "Pending"
        SENT = "sent", "Sent"
        FAILED = "failed", "Failed"

    broadcast = models.ForeignKey(Broadcast, on_delete=models.CASCADE, related_name="deliveries")
    recipient = models.ForeignKey(Recipient, on_delete=models.SET_NULL, null=True, related_name="deliveries")
    # As they were when the broadcast started: the record outlives changes of the recipient.
    name = models.CharField(max_length=200, blank=True)
    address = models.CharField(max_length=500)
    # The same for every attempt, so that a receiver can recognise a repeated message.
    key = models.UUIDField(default=uuid.uuid4, editable=False, unique=True)
    state = models.CharField(max_length=10, choices=State, default=State.PENDING)
    attempts = models.PositiveSmallIntegerField(default=0)
    next_attempt_at = models.DateTimeField(default=timezone.now)
    sent_at = models.DateTimeField(null=True)
    error = models.CharField(max_length=300, blank=True)

    class Meta:
        verbose_name_plural = "deliveries"
        ordering = ["id"]
        constraints = [
            models.UniqueConstraint(fields=["broadcast", "recipient"], name="delivery_once_per_recipient"),
            models.CheckConstraint(
                condition=Q(state="sent", sent_at__isnull=False)
                | Q(state__in=["pending", "failed"], sent_at__isnull=True),
                name="delivery_sent_at_is_set_when_sent",
            ),
        ]
        indexes = [
            models.Index(fields=["broadcast", "state"], name="delivery_progress"),
            models.Index(
                fields=["broadcast", "next_attempt_at", "id"], condition=Q(state="pending"), name="delivery_next"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.address}: {self.state}"
