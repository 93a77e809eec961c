import os

from django.core.management.base import BaseCommand, CommandParser

from pulse.models import Event


class Command(BaseCommand):
    help = "Writes that something has happened."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("kind")

    def handle(self, *args: object, **options: str) -> None:
        Event.objects.create(kind=options["kind"], note=f"{os.environ.get('PULSE_NOTE', '')} in {os.getcwd()}")
