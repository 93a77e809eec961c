import os
import signal
import threading

from django.core.management.base import BaseCommand

from pulse.models import Event


class Command(BaseCommand):
    help = "Runs until it is stopped, as a listener of another system's messages does."

    def handle(self, *args: object, **options: object) -> None:
        stop = threading.Event()
        signal.signal(signal.SIGTERM, lambda *_: stop.set())
        Event.objects.create(kind="listening", note=os.environ["PULSE_CHANNEL"])
        stop.wait()
        Event.objects.create(kind="stopped listening")
