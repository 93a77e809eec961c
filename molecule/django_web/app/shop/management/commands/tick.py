import time

from django.conf import settings
from django.core.management.base import BaseCommand


class Command(BaseCommand):
    help = "A process that runs beside web."

    def handle(self, *args: object, **options: object) -> None:
        while True:
            self.stdout.write(f"tick from {settings.GREETING}")
            time.sleep(60)
