import os

from django.core.management.base import BaseCommand, CommandParser

from ledger.models import Entry


class Command(BaseCommand):
    help = "Writes that something has happened, and which edition it was."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("kind")

    def handle(self, *args: object, **options: str) -> None:
        Entry.objects.create(kind=options["kind"], note=os.environ.get("LEDGER_EDITION", ""))
