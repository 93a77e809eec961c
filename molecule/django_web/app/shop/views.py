import os
import time

from django.conf import settings
from django.contrib.auth import authenticate, login
from django.db import DatabaseError
from django.http import HttpRequest, JsonResponse

from shop.models import Release


def greeting(request: HttpRequest) -> JsonResponse:
    return JsonResponse(
        {"greeting": settings.GREETING, "host": request.get_host(), "secure": request.is_secure(), "uid": os.getuid()}
    )


def account(request: HttpRequest) -> JsonResponse:
    """Who is logged in; POST logs in."""
    if request.method == "POST":
        user = authenticate(request, username=request.POST["username"], password=request.POST["password"])
        if user is None:
            return JsonResponse({}, status=403)
        login(request, user)
    return JsonResponse({"name": request.user.get_username(), "superuser": request.user.is_superuser})


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
