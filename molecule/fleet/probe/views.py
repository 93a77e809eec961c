import os
from pathlib import Path

from django.http import HttpRequest, JsonResponse
from django.views.decorators.csrf import csrf_exempt

from probe.models import Item
from probe.release import RELEASE

FLAG = Path("/srv/flags/unhealthy")


def unhealthy() -> bool:
    """Whether a test wants this release to fail on this host."""
    try:
        return FLAG.read_text().strip() == RELEASE
    except OSError:
        return False


@csrf_exempt
def probe(request: HttpRequest) -> JsonResponse:
    answer = {"release": RELEASE, "host": os.environ.get("PROBE_HOST", "")}
    if "PROBE_NOTE" in os.environ:
        answer["note"] = os.environ["PROBE_NOTE"]
    if request.method == "POST":
        answer["item"] = Item.objects.create(text=RELEASE).pk
    return JsonResponse(answer)
