import socket
from pathlib import Path

from django.http import HttpRequest, JsonResponse
from django.views.decorators.csrf import csrf_exempt

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
    from probe.models import Item

    answer = {"release": RELEASE, "container": socket.gethostname()}
    if request.method == "POST":
        answer["item"] = Item.objects.create(text=RELEASE).pk
    return JsonResponse(answer)
