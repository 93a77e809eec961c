import asyncio
import importlib.metadata
from collections.abc import AsyncIterator
from pathlib import Path

from django.conf import settings
from django.core.cache import cache
from django.http import HttpRequest, HttpResponse, JsonResponse, StreamingHttpResponse
from django.templatetags.static import static
from django.views.decorators.csrf import csrf_exempt

from pulse.models import Event
from pulse.tasks import QUEUES, beat

SPOOL = Path("/var/spool/pulse")


def home(request: HttpRequest) -> JsonResponse:
    (SPOOL / "last").write_text("spooled")
    cache.set("last", "cached")
    return JsonResponse(
        {
            "version": importlib.metadata.version("pulse"),
            "style": static("pulse/pulse.css"),
            "features": settings.FEATURES,
            "mail": settings.PULSE_MAIL["user"],
            "hosts": settings.ALLOWED_HOSTS,
            "origins": settings.CSRF_TRUSTED_ORIGINS,
            "spool": (SPOOL / "last").read_text(),
            "cache": cache.get("last"),
            "url": request.build_absolute_uri(),
        }
    )


async def healthz(request: HttpRequest) -> HttpResponse:
    return HttpResponse("ok", content_type="text/plain")


def events(request: HttpRequest) -> JsonResponse:
    return JsonResponse({"events": list(Event.objects.order_by("id").values("kind", "note"))})


@csrf_exempt
def beats(request: HttpRequest) -> JsonResponse:
    """One task for each queue, and what the result backend has of them so far."""
    results = [beat.apply_async(queue=queue) for queue in QUEUES]
    return JsonResponse({"results": [result.get(timeout=60) for result in results]})


async def stream(request: HttpRequest) -> StreamingHttpResponse:
    async def lines() -> AsyncIterator[str]:
        for number in range(4):
            yield f"data: {number}\n\n"
            await asyncio.sleep(0.5)

    headers = {"X-Accel-Buffering": "no", "Cache-Control": "no-store"}
    return StreamingHttpResponse(lines(), content_type="text/event-stream", headers=headers)
