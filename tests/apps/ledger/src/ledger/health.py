"""Answers a load balancer: without TLS, under a name of its own, and with nothing but a status."""

from collections.abc import Callable

from django.conf import settings
from django.db import connection
from django.http import HttpRequest, HttpResponse


class HealthMiddleware:
    """Before all others, since they would refuse the name and redirect to HTTPS."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if request.path not in ("/ping", "/ready"):
            return self.get_response(request)
        if request.META.get("HTTP_HOST") != settings.LEDGER_HEALTH_HOST or request.is_secure():
            return HttpResponse("not for you", status=421)
        if request.path == "/ready":
            connection.ensure_connection()
        return HttpResponse(status=204)
