import os
from pathlib import Path

from django.contrib.auth import get_user_model
from django.core.management.base import BaseCommand, CommandError

from ledger.models import Entry


class Command(BaseCommand):
    help = "Creates the first administrator; a second time is an error."

    def handle(self, *args: object, **options: object) -> None:
        name = os.environ["LEDGER_ADMIN"]
        users = get_user_model().objects
        if users.filter(username=name).exists():
            raise CommandError(f"There is an administrator {name} already.")
        users.create_superuser(name, password=Path(os.environ["LEDGER_ADMIN_PASSWORD_FILE"]).read_text().strip())
        Entry.objects.create(kind="admin", note=f"{name} in {os.getcwd()}")
