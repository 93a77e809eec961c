from copy import copy
from typing import Any

from django.core.exceptions import ValidationError as DjangoValidationError
from rest_framework import serializers

from broadcasts.models import Audience, Broadcast, Delivery, Recipient


class AudienceSerializer(serializers.ModelSerializer):
    recipient_count = serializers.IntegerField(read_only=True, default=0, help_text="Active recipients.")

    class Meta:
        model = Audience
        fields = ["id", "name", "description", "created_at", "recipient_count"]


class RecipientSerializer(serializers.ModelSerializer):
    class Meta:
        model = Recipient
        fields = ["id", "audience", "name", "email", "webhook_url", "is_active"]
        # The model's own check, below, knows the address in any case of letters.
        validators = []

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        recipient = copy(self.instance) if self.instance else Recipient()
        for field, value in attrs.items():
            setattr(recipient, field, value)
        try:
            recipient.full_clean()
        except DjangoValidationError as error:
            raise serializers.ValidationError(serializers.as_serializer_error(error)) from error
        return attrs


class NewRecipientSerializer(serializers.ModelSerializer):
    class Meta:
        model = Recipient
        fields = ["name", "email", "webhook_url"]
        validators = []

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if not attrs.get("email") and not attrs.get("webhook_url"):
            raise serializers.ValidationError("A recipient needs an e-mail address or a webhook URL.")
        return attrs


class AddedSerializer(serializers.Serializer):
    added = serializers.IntegerField(help_text="Without those whose address the audience already had.")


class ProgressSerializer(serializers.Serializer):
    total = serializers.IntegerField()
    pending = serializers.IntegerField()
    sent = serializers.IntegerField()
    failed = serializers.IntegerField()
    percent = serializers.IntegerField(help_text="Sent and failed deliveries of all, in percent.")


class BroadcastSerializer(serializers.ModelSerializer):
    audience_name = serializers.CharField(source="audience.name", read_only=True)
    author = serializers.CharField(source="author.username", read_only=True, default=None)
    progress = ProgressSerializer(read_only=True)
    scheduled_at = serializers.DateTimeField(required=False, help_text="Without it, or in the past: now.")

    class Meta:
        model = Broadcast
        fields = [
            "id",
            "subject",
            "body",
            "audience",
            "audience_name",
            "channel",
            "scheduled_at",
            "status",
            "problem",
            "author",
            "created_at",
            "started_at",
            "finished_at",
            "progress",
        ]
        read_only_fields = ["status", "problem", "created_at", "started_at", "finished_at"]


class DeliverySerializer(serializers.ModelSerializer):
    class Meta:
        model = Delivery
        fields = ["id", "key", "name", "address", "state", "attempts", "next_attempt_at", "sent_at", "error"]
