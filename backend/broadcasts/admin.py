from typing import Any

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import ValidationError
from django.db.models import QuerySet
from django.http import HttpRequest

from broadcasts import selectors, services
from broadcasts.models import Audience, Broadcast, Delivery, Recipient


@admin.register(Audience)
class AudienceAdmin(admin.ModelAdmin):
    list_display = ["name", "recipient_count", "created_at"]
    search_fields = ["name"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Audience]:
        return selectors.audiences()

    @admin.display(description="active recipients", ordering="recipient_count")
    def recipient_count(self, audience: Audience) -> int:
        return audience.recipient_count


@admin.register(Recipient)
class RecipientAdmin(admin.ModelAdmin):
    list_display = ["__str__", "email", "webhook_url", "audience", "is_active"]
    list_filter = ["is_active", "audience"]
    list_select_related = ["audience"]
    search_fields = ["name", "email", "webhook_url"]
    autocomplete_fields = ["audience"]


class BroadcastAdminForm(forms.ModelForm):
    def clean(self) -> dict[str, Any]:
        data = super().clean() or self.cleaned_data
        if data.get("audience") and data.get("channel"):
            services.check_reachable(data["audience"], data["channel"])
        return data


@admin.register(Broadcast)
class BroadcastAdmin(admin.ModelAdmin):
    """A broadcast is composed here or on the page; afterwards it is a record and no longer changes."""

    list_display = ["subject", "audience", "channel", "status", "progress", "scheduled_at", "author"]
    list_filter = ["status", "channel"]
    list_select_related = ["audience", "author"]
    search_fields = ["subject"]
    date_hierarchy = "created_at"
    autocomplete_fields = ["audience"]
    form = BroadcastAdminForm
    fields = ["subject", "body", "audience", "channel", "scheduled_at"]
    actions = ["cancel", "retry"]
    record = ["status", "progress", "problem", "author", "created_at", "started_at", "finished_at"]

    @admin.display
    def progress(self, broadcast: Broadcast) -> str:
        progress = selectors.progress_of(broadcast)
        failed = f", {progress.failed} failed" if progress.failed else ""
        return f"{progress.sent} of {progress.total} sent{failed}"

    def get_fields(self, request: HttpRequest, obj: Broadcast | None = None) -> list[str]:
        return [*self.fields, *self.record] if obj else self.fields

    def has_change_permission(self, request: HttpRequest, obj: Broadcast | None = None) -> bool:
        return obj is None and super().has_change_permission(request, obj)

    def save_model(self, request: HttpRequest, obj: Broadcast, form: Any, change: bool) -> None:
        obj.author = request.user
        services.submit_broadcast(obj)

    @admin.action(description="Cancel selected broadcasts", permissions=["add"])
    def cancel(self, request: HttpRequest, queryset: QuerySet[Broadcast]) -> None:
        self._for_each(request, queryset, services.cancel_broadcast)

    @admin.action(description="Retry failed deliveries of selected broadcasts", permissions=["add"])
    def retry(self, request: HttpRequest, queryset: QuerySet[Broadcast]) -> None:
        self._for_each(request, queryset, services.retry_failed)

    def _for_each(self, request: HttpRequest, queryset: QuerySet[Broadcast], action: Any) -> None:
        for broadcast in queryset:
            try:
                action(broadcast.pk)
            except ValidationError as error:
                messages.error(request, f"{broadcast}: {' '.join(error.messages)}")


@admin.register(Delivery)
class DeliveryAdmin(admin.ModelAdmin):
    list_display = ["address", "broadcast", "state", "attempts", "next_attempt_at", "sent_at", "error"]
    list_filter = ["state"]
    list_select_related = ["broadcast"]
    search_fields = ["address"]
    show_full_result_count = False

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Delivery | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Delivery | None = None) -> bool:
        return False
