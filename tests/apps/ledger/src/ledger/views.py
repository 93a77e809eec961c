import os
import subprocess
from pathlib import Path

from django.conf import settings
from django.core.cache import cache
from django.http import FileResponse, Http404, HttpRequest, HttpResponse, JsonResponse

from ledger.models import Entry
from ledger.tasks import book


def home(request: HttpRequest) -> HttpResponse:
    """The greeting comes from a program that a Debian package has."""
    greeting = subprocess.run(
        ["envsubst"],
        input="Welcome to ${LEDGER_NAME}",
        env={"PATH": os.environ["PATH"], "LEDGER_NAME": settings.LEDGER_NAME},
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    cache.add("visits", 0, timeout=None)
    return JsonResponse({"greeting": greeting, "visits": cache.incr("visits"), "url": request.build_absolute_uri()})


def entries(request: HttpRequest) -> JsonResponse:
    return JsonResponse({"entries": list(Entry.objects.order_by("id").values("kind", "note"))})


def open_book(request: HttpRequest, year: int) -> HttpResponse:
    book.delay(year)
    return HttpResponse(status=202)


def receipt(request: HttpRequest, name: str) -> HttpResponse | FileResponse:
    """Uploaded files are not for everybody, so the application hands them out itself."""
    path = Path(settings.LEDGER_DATA) / "receipts" / name
    if request.method == "PUT":
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(request.body)
        return HttpResponse(status=201)
    if not path.is_file():
        raise Http404
    return FileResponse(path.open("rb"), content_type="text/plain")
