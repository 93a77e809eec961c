from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.test import Client

from broadcasts.models import Broadcast, Delivery

pytestmark = pytest.mark.django_db
Make = Callable[..., Any]


@pytest.fixture
def browser(client: Client, admin: User) -> Client:
    client.force_login(admin)
    return client


def test_page_needs_a_login(client: Client, admin: User) -> None:
    answer = client.get("/")
    assert (answer.status_code, answer["Location"]) == (302, "/accounts/login/?next=/")
    answer = client.post("/accounts/login/?next=/", {"username": "ada", "password": "correct horse battery"})
    assert (answer.status_code, answer["Location"]) == (302, "/")


def test_wrong_password_is_explained(client: Client) -> None:
    answer = client.post("/accounts/login/", {"username": "ada", "password": "x"})
    assert b"Please enter a correct username and password" in answer.content


def test_page_lists_broadcasts_with_progress(browser: Client, make_broadcast: Make) -> None:
    make_broadcast(4, subject="<b>Big</b> news")
    Delivery.objects.filter(address="r1@example.com").update(state="failed")
    content = browser.get("/").content.decode()
    assert "&lt;b&gt;Big&lt;/b&gt; news" in content
    assert 'value="1" max="4"' in content
    assert "25 %" in content


def test_page_loads_nothing_from_elsewhere_and_runs_nothing_inline(browser: Client, make_broadcast: Make) -> None:
    make_broadcast()
    content = browser.get("/").content.decode()
    for forbidden in ("//", "<style", "style=", "onclick", "javascript:"):
        assert forbidden not in content.replace("http://www.w3.org", ""), forbidden


def test_empty_page_says_what_to_do(browser: Client) -> None:
    assert b"Nothing has been sent yet" in browser.get("/").content


def test_broadcast_is_composed_on_the_page(browser: Client, make_audience: Make, admin: User) -> None:
    data = {"subject": "Hi", "body": "There", "audience": make_audience().pk, "channel": "email", "scheduled_at": ""}
    answer = browser.post("/", data, follow=True)
    assert "is on its way" in answer.content.decode()
    assert Broadcast.objects.get().author == admin


def test_broadcast_for_later_is_composed_on_the_page(browser: Client, make_audience: Make) -> None:
    data = {"subject": "Hi", "body": "B", "audience": make_audience().pk, "channel": "email"}
    answer = browser.post("/", data | {"scheduled_at": "2999-12-31T23:59"}, follow=True)
    assert "is scheduled" in answer.content.decode()
    assert Broadcast.objects.get().scheduled_at.isoformat() == "2999-12-31T23:59:00+00:00"


def test_form_shows_what_is_wrong(browser: Client, make_audience: Make) -> None:
    data = {"subject": "Hi", "body": "B", "audience": make_audience().pk, "channel": "webhook"}
    answer = browser.post("/", data)
    assert answer.status_code == 422
    assert b"Nobody in this audience can be reached" in answer.content
    assert not Broadcast.objects.exists()


def test_buttons_cancel_and_retry(browser: Client, make_broadcast: Make) -> None:
    broadcast = make_broadcast(2)
    browser.post(f"/broadcasts/{broadcast.pk}/cancel/")
    broadcast.refresh_from_db()
    assert broadcast.status == "cancelled"
    answer = browser.post(f"/broadcasts/{broadcast.pk}/retry/", follow=True)
    assert b"nothing can be retried" in answer.content
    assert browser.get(f"/broadcasts/{broadcast.pk}/cancel/").status_code == 405
    assert browser.post("/broadcasts/999/cancel/").status_code == 404


def test_user_without_permissions_sees_nothing_and_sends_nothing(client: Client, make_broadcast: Make) -> None:
    broadcast = make_broadcast(subject="Secret plans")
    user = User.objects.create_user("bob")
    client.force_login(user)
    content = client.get("/").content
    assert b"Secret plans" not in content
    assert b"Send broadcast" not in content
    assert client.post("/", {}).status_code == 403
    assert client.post(f"/broadcasts/{broadcast.pk}/cancel/").status_code == 403
    user.user_permissions.add(Permission.objects.get(codename="view_broadcast"))
    assert b"Secret plans" in client.get("/").content


@pytest.mark.parametrize("model", ["audience", "recipient", "broadcast", "delivery"])
def test_admin_lists(browser: Client, make_broadcast: Make, model: str) -> None:
    make_broadcast()
    assert browser.get(f"/admin/broadcasts/{model}/").status_code == 200


def test_admin_composes_and_then_only_shows(browser: Client, make_audience: Make, admin: User) -> None:
    data = {"subject": "Hi", "body": "B", "audience": make_audience().pk, "channel": "email"}
    now = {"scheduled_at_0": "2020-01-01", "scheduled_at_1": "00:00"}
    assert browser.post("/admin/broadcasts/broadcast/add/", data | now).status_code == 302
    broadcast = Broadcast.objects.get()
    assert broadcast.author == admin
    path = f"/admin/broadcasts/broadcast/{broadcast.pk}/change/"
    assert browser.get(path).status_code == 200
    assert browser.post(path, data | now | {"subject": "Changed"}).status_code == 403
    answer = browser.post(
        "/admin/broadcasts/broadcast/", {"action": "cancel", "_selected_action": [broadcast.pk]}, follow=True
    )
    assert answer.status_code == 200
    broadcast.refresh_from_db()
    assert broadcast.status == "cancelled"


def test_admin_shows_what_the_service_refuses(browser: Client, make_audience: Make) -> None:
    data = {"subject": "Hi", "body": "B", "audience": make_audience(0).pk, "channel": "email"}
    now = {"scheduled_at_0": "2020-01-01", "scheduled_at_1": "00:00"}
    answer = browser.post("/admin/broadcasts/broadcast/add/", data | now)
    assert answer.status_code == 200
    assert b"Nobody in this audience can be reached" in answer.content
