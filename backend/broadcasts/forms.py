from typing import Any

from django import forms

from broadcasts.models import Broadcast


class BroadcastForm(forms.ModelForm):
    scheduled_at = forms.DateTimeField(
        label="Send at",
        required=False,
        help_text="Leave empty to send now.",
        widget=forms.DateTimeInput(attrs={"type": "datetime-local", "step": "60"}, format="%Y-%m-%dT%H:%M"),
    )

    class Meta:
        model = Broadcast
        fields = ["subject", "body", "audience", "channel", "scheduled_at"]
        widgets = {
            "subject": forms.TextInput(attrs={"placeholder": "What is it about?", "autocomplete": "off"}),
            "body": forms.Textarea(attrs={"rows": 6, "placeholder": "Write your message"}),
            "channel": forms.RadioSelect,
        }

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, label_suffix="", **kwargs)
        self.fields["audience"].empty_label = "Choose an audience"
