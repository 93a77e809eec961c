"""How one delivery leaves the house. A channel lives as long as a batch and keeps its connection."""

import http.client
import smtplib
from types import TracebackType
from typing import Protocol, Self
from urllib.parse import urlsplit

from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.mail import EmailMessage, get_connection
from django.core.mail.backends.base import BaseEmailBackend
from django.core.mail.message import sanitize_address

from broadcasts.models import Broadcast, Channel, Delivery
from broadcasts.webhooks import AddressRefusedError, post, validate_webhook_url

# The answer after which a mail server hangs up.
CLOSING = 421


class TransientError(Exception):
    """Worth another attempt later."""


class PermanentError(Exception):
    """No attempt will ever succeed."""


class UnavailableError(Exception):
    """The channel itself does not work at the moment, whoever the recipient is."""


class DeliveryChannel(Protocol):
    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def send(self, broadcast: Broadcast, delivery: Delivery) -> None: ...


def channel_for(broadcast: Broadcast) -> DeliveryChannel:
    return EmailChannel() if broadcast.channel == Channel.EMAIL else WebhookChannel()


class EmailChannel:
    def __init__(self) -> None:
        self.connection: BaseEmailBackend = get_connection()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.connection.close()

    def send(self, broadcast: Broadcast, delivery: Delivery) -> None:
        domain = sanitize_address(settings.DEFAULT_FROM_EMAIL, "utf-8").rpartition("@")[2].rstrip(">")
        message = EmailMessage(
            subject=broadcast.subject,
            body=broadcast.body,
            to=[delivery.address],
            headers={"Message-ID": f"<{delivery.key}@{domain}>", "Auto-Submitted": "auto-generated"},
            connection=self.connection,
        )
        try:
            self.connection.open()
        except (OSError, smtplib.SMTPException) as error:
            raise UnavailableError(f"The mail server does not answer: {describe(error)}") from error
        try:
            message.send()
        except smtplib.SMTPRecipientsRefused as error:
            code, reason = next(iter(error.recipients.values()))
            raise self.refusal(code, reason) from error
        except smtplib.SMTPSenderRefused as error:
            raise UnavailableError(f"The mail server refuses the sender: {describe(error)}") from error
        except smtplib.SMTPResponseException as error:
            raise self.refusal(error.smtp_code, error.smtp_error) from error
        except (OSError, smtplib.SMTPException) as error:
            self.connection.close()
            raise TransientError(describe(error)) from error

    def refusal(self, code: int, reason: bytes | str) -> Exception:
        if code == CLOSING:
            self.connection.close()
        text = f"{code} {reason.decode(errors='replace') if isinstance(reason, bytes) else reason}"
        return PermanentError(text) if code >= 500 else TransientError(text)


class WebhookChannel:
    TRANSIENT = frozenset({408, 409, 421, 425, 429})

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        pass

    def send(self, broadcast: Broadcast, delivery: Delivery) -> None:
        try:
            validate_webhook_url(delivery.address)
        except ValidationError as error:
            raise PermanentError(error.messages[0]) from error
        payload = {
            "id": str(delivery.key),
            "broadcast": broadcast.pk,
            "subject": broadcast.subject,
            "body": broadcast.body,
            "recipient": delivery.name,
        }
        headers = {"Idempotency-Key": str(delivery.key)}
        try:
            status = post(delivery.address, payload, headers, settings.WEBHOOK_TIMEOUT_SECONDS)
        except AddressRefusedError as error:
            raise PermanentError(str(error)) from error
        except (OSError, http.client.HTTPException, UnicodeError) as error:
            raise TransientError(f"{urlsplit(delivery.address).hostname}: {describe(error)}") from error
        if 200 <= status < 300:
            return
        if 300 <= status < 400:
            raise PermanentError(f"HTTP {status}: redirects are not followed")
        if status >= 500 or status in self.TRANSIENT:
            raise TransientError(f"HTTP {status}")
        raise PermanentError(f"HTTP {status}")


def describe(error: Exception) -> str:
    return str(error) or type(error).__name__
