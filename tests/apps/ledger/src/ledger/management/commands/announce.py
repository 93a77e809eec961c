import http.client
import os

from django.conf import settings
from django.core.management.base import BaseCommand

from ledger.models import Entry


class Command(BaseCommand):
    help = "Writes that the web server of this edition answers."

    def handle(self, *args: object, **options: object) -> None:
        web = http.client.HTTPConnection(os.environ["LEDGER_WEB"], timeout=10)
        web.request("GET", "/ping", headers={"Host": settings.LEDGER_HEALTH_HOST})
        Entry.objects.create(kind="announced", note=str(web.getresponse().status))
