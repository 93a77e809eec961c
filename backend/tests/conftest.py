"""Tests run against the PostgreSQL and the Redis that the environment names, beside whatever else uses them."""

import os
import secrets
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import pytest
import redis
from aiosmtpd.controller import Controller
from django.conf import settings as django_settings
from django.contrib.auth.models import User
from django.db import connection
from rest_framework.test import APIClient

from broadcasts import services
from broadcasts.models import Audience, Broadcast, Channel
from tests.sink import Sink

PREFIX = f"test-{secrets.token_hex(4)}:"
# Before anything connects: keys of their own, nothing that depends on DJANGO_DEBUG, no mail server of the environment.
django_settings.CACHES["default"]["KEY_PREFIX"] = PREFIX
django_settings.CELERY_BROKER_TRANSPORT_OPTIONS["global_keyprefix"] = PREFIX
django_settings.STORAGES["staticfiles"]["BACKEND"] = "django.contrib.staticfiles.storage.StaticFilesStorage"
django_settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
django_settings.EMAIL_HOST = "mail.invalid"
django_settings.EMAIL_USE_TLS = django_settings.EMAIL_USE_SSL = False
django_settings.EMAIL_HOST_USER = django_settings.EMAIL_HOST_PASSWORD = ""
django_settings.WEBHOOK_ALLOW_PRIVATE = django_settings.WEBHOOK_ALLOW_HTTP = False


@pytest.fixture(scope="session", autouse=True)
def _clean_redis() -> Iterator[None]:
    yield
    for url in (django_settings.CELERY_BROKER_URL, django_settings.CACHES["default"]["LOCATION"]):
        with redis.Redis.from_url(url) as client:
            for key in client.scan_iter(f"*{PREFIX}*", count=1000):
                client.delete(key)


@pytest.fixture(scope="session")
def closed_port() -> Iterator[int]:
    """A port that nobody else can take and nobody answers on: bound, but not listening."""
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        yield holder.getsockname()[1]


@pytest.fixture
def mail() -> Iterator[Sink]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    sink = Sink(port)
    controller = Controller(sink, hostname="127.0.0.1", port=port, ready_timeout=20)
    controller.start()
    yield sink
    controller.stop()


@pytest.fixture
def smtp(mail: Sink, settings: Any) -> Sink:
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", mail.port
    return mail


@pytest.fixture
def make_audience() -> Callable[..., Audience]:
    def make(count: int = 3, name: str = "Readers") -> Audience:
        audience = Audience.objects.create(name=name)
        services.add_recipients(audience, [{"name": f"R{n}", "email": f"r{n}@example.com"} for n in range(count)])
        return audience

    return make


@pytest.fixture
def make_broadcast(make_audience: Callable[..., Audience]) -> Callable[..., Broadcast]:
    def make(count: int = 3, *, start: bool = True, **options: Any) -> Broadcast:
        options.setdefault("audience", None)
        options["audience"] = options["audience"] or make_audience(count)
        options = {"author": None, "subject": "News", "body": "Something happened.", "channel": Channel.EMAIL} | options
        broadcast = services.create_broadcast(**options)
        if start:
            assert services.start_broadcast(broadcast.pk)
        broadcast.refresh_from_db()
        return broadcast

    return make


@pytest.fixture
def admin(db: None) -> User:
    return User.objects.create_superuser("ada", "ada@example.com", "correct horse battery")


@pytest.fixture
def api(admin: User) -> APIClient:
    client = APIClient()
    client.force_authenticate(admin)
    return client


@pytest.fixture
def process_environment(tmp_path: Any) -> dict[str, str]:
    """For processes of the application beside this one: the test database, the tests' keys, production's defaults."""
    url = urlsplit(os.environ.get("DATABASE_URL") or _read(os.environ["DATABASE_URL_FILE"]))
    kept = {name: os.environ[name] for name in ("PATH", "LANG", "SSL_CERT_FILE") if name in os.environ}
    return kept | {
        "DJANGO_SECRET_KEY": secrets.token_urlsafe(48),
        "DJANGO_ALLOWED_HOSTS": "testserver",
        "DATABASE_URL": url._replace(path=f"/{quote(connection.settings_dict['NAME'])}").geturl(),
        "CELERY_BROKER_URL": django_settings.CELERY_BROKER_URL,
        "CACHE_URL": django_settings.CACHES["default"]["LOCATION"],
        "REDIS_KEY_PREFIX": PREFIX,
        "DJANGO_STATIC_ROOT": str(tmp_path / "static"),
        "DJANGO_MEDIA_ROOT": str(tmp_path / "media"),
        "HOME": str(tmp_path),
    }


def _read(path: str) -> str:
    return Path(path).read_text(encoding="utf-8").strip()


@pytest.fixture
def eventually() -> Callable[..., None]:
    def wait(condition: Callable[[], bool], seconds: float = 120) -> None:
        end = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < end, "It did not happen in time."
            time.sleep(0.1)

    return wait
