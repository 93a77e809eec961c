"""What an operator sees: health, logs, commands."""

import json
import logging
import re
import subprocess
import sys
from collections.abc import Callable
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from celery import current_app
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command
from django.db import connection
from django.test import Client

from broadcasts.models import Audience, Broadcast
from config import health
from config.context import request_id, task_id
from config.logs import JsonFormatter

BACKEND = Path(__file__).resolve().parents[1]
Make = Callable[..., Any]


@pytest.mark.django_db
def test_liveness_touches_nothing(client: Client, django_assert_num_queries: Make, admin: User) -> None:
    client.force_login(admin)
    with django_assert_num_queries(0):
        answer = client.get("/health/")
    assert (answer.status_code, answer.json()) == (200, {"status": "ok"})
    assert not answer.cookies


@pytest.mark.parametrize("path", ["/health/", "/health/ready/"])
def test_health_answers_only_to_the_right_host(client: Client, path: str) -> None:
    assert client.get(path, headers={"Host": "evil.example"}).status_code == 400


@pytest.mark.django_db
def test_ready_when_everything_is_there(client: Client) -> None:
    answer = client.get("/health/ready/")
    assert (answer.status_code, answer.json()["status"]) == (200, "ok")
    assert "no-cache" in answer["Cache-Control"]


@pytest.mark.django_db
def test_not_ready_with_an_unapplied_migration(client: Client) -> None:
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM django_migrations WHERE app = 'broadcasts'")
    answer = client.get("/health/ready/")
    assert (answer.status_code, answer.json()["failing"]) == (503, ["migrations"])


@pytest.mark.django_db
def test_not_ready_without_the_broker(client: Client, settings: Any, closed_port: int) -> None:
    settings.CELERY_BROKER_URL = f"redis://127.0.0.1:{closed_port}/0"
    health.broker.cache_clear()
    try:
        answer = client.get("/health/ready/")
    finally:
        health.broker.cache_clear()
    assert (answer.status_code, answer.json()["failing"]) == (503, ["broker"])


@pytest.mark.django_db
def test_not_ready_without_the_cache(client: Client, settings: Any, closed_port: int) -> None:
    settings.CACHES = {"default": settings.CACHES["default"] | {"LOCATION": f"redis://127.0.0.1:{closed_port}/0"}}
    answer = client.get("/health/ready/")
    assert (answer.status_code, answer.json()["failing"]) == (503, ["cache"])


def test_alive_but_not_ready_when_nothing_else_runs(process_environment: dict[str, str], closed_port: int) -> None:
    program = """
import django, json; django.setup()
from django.test import Client
client = Client()
for path in ("/health/", "/health/ready/"):
    answer = client.get(path); print(json.dumps([answer.status_code, answer.json()]))
"""
    env = process_environment | {
        "DJANGO_SETTINGS_MODULE": "config.settings",
        "DATABASE_URL": f"postgresql://u:hidden@127.0.0.1:{closed_port}/x",
        "CELERY_BROKER_URL": f"redis://:hidden@127.0.0.1:{closed_port}/0",
        "CACHE_URL": f"redis://:hidden@127.0.0.1:{closed_port}/1",
    }
    result = subprocess.run(
        [sys.executable, "-c", program], env=env, cwd=BACKEND, capture_output=True, text=True, timeout=60, check=True
    )
    lines = [json.loads(line) for line in result.stdout.splitlines()]
    answers = [line for line in lines if isinstance(line, list)]
    assert answers[0] == [200, {"status": "ok"}]
    assert answers[1][0] == 503
    assert answers[1][1]["failing"] == ["database", "migrations", "broker", "cache"]
    assert "hidden" not in result.stdout + result.stderr
    # Everything else on stdout is one JSON record a line, with the request's id.
    records = [line for line in lines if isinstance(line, dict)]
    assert len([record for record in records if re.fullmatch(r"[0-9a-f]{32}", record.get("request_id", ""))]) >= 4


def test_request_id_is_taken_over_or_made(client: Client) -> None:
    assert client.get("/health/", headers={"X-Request-ID": "abc-1"})["X-Request-ID"] == "abc-1"
    for bad in ("a b", "x" * 200, 'a"b', ""):
        assert re.fullmatch(r"[0-9a-f]{32}", client.get("/health/", headers={"X-Request-ID": bad})["X-Request-ID"])
    assert request_id.get() == ""


def test_record_is_one_line_of_json_with_its_traceback() -> None:
    try:
        raise ValueError("two\nlines")  # noqa: TRY301 - a traceback is wanted
    except ValueError:
        record = logging.LogRecord("x", logging.ERROR, __file__, 1, "Failed: %s", ("ü",), sys.exc_info())
    record.broadcast = 7
    token, task = request_id.set("abc"), task_id.set("t-1")
    try:
        line = JsonFormatter().format(record)
    finally:
        request_id.reset(token)
        task_id.reset(task)
    assert "\n" not in line
    entry = json.loads(line)
    assert (entry["message"], entry["level"], entry["broadcast"]) == ("Failed: ü", "ERROR", 7)
    assert (entry["request_id"], entry["task_id"]) == ("abc", "t-1")
    assert "ValueError: two\nlines" in entry["exception"]


def test_task_carries_the_id_of_its_request() -> None:
    token = request_id.set("from-the-page")
    try:
        current_app.send_task("broadcasts.start", args=[0], queue="probe")
    finally:
        request_id.reset(token)
    with current_app.connection_for_read() as broker, broker.SimpleQueue("probe") as probe:
        message = probe.get(timeout=5)
        message.ack()
    assert message.headers["request_id"] == "from-the-page"


def run(command: str) -> str:
    output = StringIO()
    call_command(command, stdout=output)
    return output.getvalue()


@pytest.fixture
def superuser(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    file = tmp_path / "password"
    file.write_text("first password\n")
    for name in ("DJANGO_SUPERUSER_PASSWORD", "DJANGO_SUPERUSER_EMAIL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("DJANGO_SUPERUSER_USERNAME", "root")
    monkeypatch.setenv("DJANGO_SUPERUSER_PASSWORD_FILE", str(file))
    return file


@pytest.mark.django_db
def test_ensure_admin_creates_updates_and_leaves_alone(superuser: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert run("ensure_admin") == "Superuser 'root': created.\n"
    created = User.objects.get(username="root")
    assert created.check_password("first password")
    assert created.is_superuser
    assert run("ensure_admin") == "Superuser 'root': unchanged.\n"
    assert User.objects.get().password == created.password

    superuser.write_text("second password")
    monkeypatch.setenv("DJANGO_SUPERUSER_EMAIL", "root@example.com")
    User.objects.update(is_active=False)
    assert run("ensure_admin") == "Superuser 'root': updated (is_active, email, password).\n"
    assert User.objects.get().check_password("second password")


@pytest.mark.django_db
def test_ensure_admin_names_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("USERNAME", "PASSWORD", "PASSWORD_FILE"):
        monkeypatch.delenv(f"DJANGO_SUPERUSER_{name}", raising=False)
    with pytest.raises(CommandError, match=r"DJANGO_SUPERUSER_USERNAME.*DJANGO_SUPERUSER_PASSWORD"):
        run("ensure_admin")


@pytest.mark.django_db
def test_demo_data_is_made_once() -> None:
    assert "200 recipients added" in run("demo_data")
    output = run("demo_data")
    assert "0 recipients added" in output
    assert "exists." in output
    assert Audience.objects.get().recipients.count() == 200
    assert Broadcast.objects.count() == 1


@pytest.mark.django_db
def test_demo_data_without_a_mail_server_sends_nothing(settings: Any) -> None:
    settings.EMAIL_HOST = ""
    assert "not created, e-mail is not set up" in run("demo_data")
    assert not Broadcast.objects.exists()
