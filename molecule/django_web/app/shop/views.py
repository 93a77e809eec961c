import os
import time

from django.conf import settings
from django.db import DatabaseError
from django.http import HttpRequest, JsonResponse

from shop.models import Release


def greeting(request: HttpRequest) -> JsonResponse:
    return JsonResponse(
        {"greeting": settings.GREETING, "host": request.get_host(), "secure": request.is_secure(), "uid": os.getuid()}
    )


def slow(request: HttpRequest) -> JsonResponse:
    time.sleep(float(request.GET["seconds"]))
    return JsonResponse({"slept": request.GET["seconds"]})


def releases(request: HttpRequest) -> JsonResponse:
    return JsonResponse({"notes": list(Release.objects.order_by("id").values_list("note", flat=True))})


def up(request: HttpRequest) -> JsonResponse:
    return JsonResponse({"up": True})


def unready(request: HttpRequest) -> JsonResponse:
    return JsonResponse({"database": "no such table: shop_nothing"}, status=503)


def ready(request: HttpRequest) -> JsonResponse:
    try:
        return JsonResponse({"database": Release.objects.exists()})
    except DatabaseError as error:
        return JsonResponse({"database": str(error)}, status=503)
