import os

from celery import shared_task
from django.db import connection

from ledger.models import Entry


@shared_task
def book(year: int) -> None:
    """Opens the book of a year, a table of its own: this application changes its schema while it runs."""
    with connection.cursor() as cursor:
        cursor.execute(f"CREATE TABLE IF NOT EXISTS ledger_book_{year:d} (LIKE ledger_entry INCLUDING ALL)")
    Entry.objects.create(kind="book", note=f"{year} in {os.getcwd()}")


@shared_task
def close() -> None:
    """Comes from beat."""
    Entry.objects.create(kind="close")
