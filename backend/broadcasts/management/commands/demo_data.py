from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand

from broadcasts import services
from broadcasts.models import Audience, Broadcast

AUDIENCE = "Demo readers"
SUBJECT = "Welcome to Broadcast"
BODY = """Hello,

this message went out through a queue: a worker claims one delivery after the other, sends it and records it. Stop the
worker in the middle and start it again: nobody gets the message twice, and nobody is left out.

Compose one of your own on the page.
"""
RECIPIENTS = 200


class Command(BaseCommand):
    help = f"Create an audience of {RECIPIENTS} recipients and a first broadcast; what exists is left alone."

    def handle(self, **_: Any) -> None:
        audience, created = Audience.objects.get_or_create(
            name=AUDIENCE, defaults={"description": f"{RECIPIENTS} recipients on a reserved domain, to try things out."}
        )
        added = services.add_recipients(
            audience,
            [
                {"name": f"Reader {number}", "email": f"reader{number:03}@example.com"}
                for number in range(1, RECIPIENTS + 1)
            ],
        )
        self.stdout.write(f"Audience {AUDIENCE!r}: {'created' if created else 'exists'}, {added} recipients added.")
        if Broadcast.objects.filter(audience=audience, subject=SUBJECT).exists():
            self.stdout.write(f"Broadcast {SUBJECT!r}: exists.")
        elif not settings.EMAIL_HOST:
            self.stdout.write(f"Broadcast {SUBJECT!r}: not created, e-mail is not set up (EMAIL_HOST).")
        else:
            services.create_broadcast(author=None, subject=SUBJECT, body=BODY, audience=audience)
            self.stdout.write(f"Broadcast {SUBJECT!r}: created, the worker sends it.")
