from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.core.cache import cache
from rest_framework.test import APIClient

from broadcasts import services
from broadcasts.models import Audience, Broadcast, Delivery
from tests.sink import Sink

pytestmark = pytest.mark.django_db
Make = Callable[..., Any]
PASSWORD = "correct horse battery"


@pytest.fixture
def user() -> User:
    return User.objects.create_user("bob", password=PASSWORD)


def allow(user: User, *names: str) -> APIClient:
    user.user_permissions.set(Permission.objects.filter(codename__in=names))
    client = APIClient()
    client.force_authenticate(User.objects.get(pk=user.pk))
    return client


def test_token_opens_the_api(admin: User) -> None:
    client = APIClient()
    assert client.get("/api/broadcasts/").status_code == 401
    answer = client.post("/api/token/", {"username": "ada", "password": PASSWORD})
    assert answer.status_code == 200
    client.credentials(HTTP_AUTHORIZATION=f"Token {answer.json()['token']}")
    assert client.get("/api/broadcasts/").status_code == 200


def test_wrong_password_gets_no_token(admin: User) -> None:
    assert APIClient().post("/api/token/", {"username": "ada", "password": "guess"}).status_code == 400


def test_guessing_passwords_is_slowed_down(admin: User) -> None:
    cache.clear()
    client = APIClient(REMOTE_ADDR="192.0.2.77")
    statuses = {client.post("/api/token/", {"username": "ada", "password": "x"}).status_code for _ in range(31)}
    assert statuses == {400, 429}


def test_session_needs_a_csrf_token_to_write(admin: User) -> None:
    client = APIClient(enforce_csrf_checks=True)
    client.force_login(admin)
    assert client.get("/api/broadcasts/").status_code == 200
    assert client.post("/api/audiences/", {"name": "A"}).status_code == 403


def test_user_without_permissions_sees_and_does_nothing(user: User, make_broadcast: Make) -> None:
    broadcast = make_broadcast()
    client = allow(user)
    for path in (
        "audiences",
        "recipients",
        "broadcasts",
        f"broadcasts/{broadcast.pk}",
        f"broadcasts/{broadcast.pk}/deliveries",
    ):
        assert client.get(f"/api/{path}/").status_code == 403, path
    assert client.post("/api/broadcasts/", {}).status_code == 403
    assert client.post(f"/api/broadcasts/{broadcast.pk}/cancel/").status_code == 403


def test_reader_cannot_write(user: User, make_broadcast: Make) -> None:
    broadcast = make_broadcast()
    client = allow(user, "view_broadcast", "view_audience")
    assert client.get(f"/api/broadcasts/{broadcast.pk}/").status_code == 200
    assert client.post("/api/broadcasts/", {}).status_code == 403
    assert client.post(f"/api/broadcasts/{broadcast.pk}/cancel/").status_code == 403
    assert client.post("/api/audiences/", {"name": "A"}).status_code == 403


def test_adding_recipients_needs_the_permission_for_recipients(user: User, make_audience: Make) -> None:
    path = f"/api/audiences/{make_audience().pk}/recipients/"
    rows = [{"email": "x@example.com"}]
    assert allow(user, "add_audience", "view_audience").post(path, rows).status_code == 403
    assert allow(user, "add_audience", "view_audience", "add_recipient").post(path, rows).json() == {"added": 1}


def test_broadcast_is_composed(api: APIClient, make_audience: Make, admin: User) -> None:
    audience = make_audience()
    answer = api.post("/api/broadcasts/", {"subject": "Hi", "body": "There", "audience": audience.pk})
    assert answer.status_code == 201
    data = answer.json()
    assert (data["status"], data["channel"], data["author"]) == ("scheduled", "email", "ada")
    assert data["progress"] == {"total": 0, "pending": 0, "sent": 0, "failed": 0, "percent": 0}
    assert Broadcast.objects.get(pk=data["id"]).author == admin


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"subject": ""}, "subject"),
        ({"subject": "a\nb"}, "subject"),
        ({"audience": 0}, "audience"),
        ({"channel": "webhook"}, "audience"),
        ({"scheduled_at": "tomorrow"}, "scheduled_at"),
    ],
)
def test_wrong_broadcast_is_refused_with_the_field(
    api: APIClient, make_audience: Make, change: dict[str, Any], field: str
) -> None:
    data = {"subject": "Hi", "body": "There", "audience": make_audience().pk} | change
    answer = api.post("/api/broadcasts/", data)
    assert answer.status_code == 400
    assert list(answer.json()) == [field]


def test_client_cannot_set_what_the_server_decides(api: APIClient, make_audience: Make) -> None:
    data = {"subject": "Hi", "body": "There", "audience": make_audience().pk, "status": "finished", "author": "eve"}
    answer = api.post("/api/broadcasts/", data).json()
    assert (answer["status"], answer["author"]) == ("scheduled", "ada")


def test_list_is_paged_newest_first_with_progress(
    api: APIClient, make_broadcast: Make, make_audience: Make, smtp: Sink, django_assert_max_num_queries: Make
) -> None:
    for number in range(3):
        broadcast = make_broadcast(audience=make_audience(2, f"A{number}"), subject=f"S{number}")
    services.deliver_batch(broadcast.pk)
    with django_assert_max_num_queries(3):
        data = api.get("/api/broadcasts/?page_size=2").json()
    assert data["count"] == 3
    assert [item["subject"] for item in data["results"]] == ["S2", "S1"]
    assert data["results"][0]["progress"] == {"total": 2, "pending": 0, "sent": 2, "failed": 0, "percent": 100}
    assert api.get(data["next"]).json()["results"][0]["subject"] == "S0"


def test_deliveries_are_listed_by_state(api: APIClient, make_broadcast: Make) -> None:
    broadcast = make_broadcast(3)
    Delivery.objects.filter(address="r1@example.com").update(state="failed", error="550 no")
    path = f"/api/broadcasts/{broadcast.pk}/deliveries/"
    assert api.get(path).json()["count"] == 3
    (failed,) = api.get(f"{path}?state=failed").json()["results"]
    assert (failed["address"], failed["error"]) == ("r1@example.com", "550 no")
    assert api.get(f"{path}?state=lost").status_code == 400


def test_cancel_and_retry(api: APIClient, make_broadcast: Make) -> None:
    broadcast = make_broadcast(2)
    Delivery.objects.filter(address="r1@example.com").update(state="failed")
    retried = api.post(f"/api/broadcasts/{broadcast.pk}/retry/").json()
    assert (retried["status"], retried["progress"]["pending"]) == ("sending", 2)
    assert api.post(f"/api/broadcasts/{broadcast.pk}/cancel/").json()["status"] == "cancelled"
    again = api.post(f"/api/broadcasts/{broadcast.pk}/cancel/")
    assert again.status_code == 400
    assert "cannot be cancelled" in again.json()["detail"][0]


def test_audience_in_use_cannot_be_deleted(api: APIClient, make_broadcast: Make) -> None:
    broadcast = make_broadcast()
    assert api.delete(f"/api/audiences/{broadcast.audience_id}/").status_code == 409
    assert Audience.objects.exists()


def test_audience_counts_its_active_recipients(api: APIClient, make_audience: Make) -> None:
    audience = make_audience(3)
    audience.recipients.filter(email="r0@example.com").update(is_active=False)
    assert api.get("/api/audiences/").json()["results"][0]["recipient_count"] == 2


def test_recipients_are_added_in_one_request(api: APIClient, make_audience: Make) -> None:
    audience = make_audience(2)
    path = f"/api/audiences/{audience.pk}/recipients/"
    rows = [{"email": "r1@example.com"}, {"name": "New", "email": "new@example.com"}]
    answer = api.post(path, rows)
    assert (answer.status_code, answer.json()) == (201, {"added": 1})
    assert api.post(path, [{"name": "Nobody"}]).status_code == 400
    assert api.post(path, [{"webhook_url": "https://10.0.0.1/"}]).status_code == 400
    assert api.post(path, {"email": "x@example.com"}).status_code == 400
    assert audience.recipients.count() == 3


def test_recipient_is_checked_and_changed(api: APIClient, make_audience: Make) -> None:
    audience = make_audience(2)
    taken = api.post("/api/recipients/", {"audience": audience.pk, "email": "R0@example.com"})
    assert taken.status_code == 400
    assert api.post("/api/recipients/", {"audience": audience.pk, "name": "N"}).status_code == 400
    created = api.post("/api/recipients/", {"audience": audience.pk, "email": "z@example.com"})
    assert created.status_code == 201
    path = f"/api/recipients/{created.json()['id']}/"
    assert api.patch(path, {"is_active": False}).json()["is_active"] is False
    assert api.patch(path, {"email": ""}).status_code == 400
    assert api.get(f"/api/recipients/?audience={audience.pk}").json()["count"] == 3
    assert api.get("/api/recipients/?audience=x").status_code == 400


def test_schema_is_served_to_accounts_only(client: Any, api: Any) -> None:
    answer = api.get("/api/schema/")
    assert answer.status_code == 200
    assert b"/api/broadcasts/{id}/deliveries/" in answer.content
    refused = client.get("/api/schema/")
    assert refused.status_code == 401
    assert b"deliveries" not in refused.content


def test_frontend_of_another_origin_is_allowed_by_the_environment(client: Any, settings: Any) -> None:
    settings.CORS_ALLOWED_ORIGINS = ["http://localhost:3000"]
    settings.CORS_ALLOW_CREDENTIALS = True

    def allowed(path: str, origin: str) -> str | None:
        headers = {"Origin": origin, "Access-Control-Request-Method": "GET"}
        return client.options(path, headers=headers).headers.get("Access-Control-Allow-Origin")

    assert allowed("/api/broadcasts/", "http://localhost:3000") == "http://localhost:3000"
    assert allowed("/api/broadcasts/", "http://evil.example") is None
    assert allowed("/admin/", "http://localhost:3000") is None
