import os
from pathlib import Path

from django.core.management.base import BaseCommand

from shop.models import Release


class Command(BaseCommand):
    help = "Adds one row, with what only release commands are given."

    def handle(self, *args: object, **options: object) -> None:
        secret = Path(os.environ["SHOP_OWNER_FILE"]).read_text().strip()
        Release.objects.create(note=f"{os.environ['SHOP_ACTOR']} with {len(secret)} characters")
        self.stdout.write("release recorded")
