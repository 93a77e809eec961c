import json
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from django.core.exceptions import ValidationError

from broadcasts import services
from broadcasts.models import Broadcast, Channel, Recipient
from broadcasts.webhooks import AddressRefusedError, connect, is_public, post, validate_webhook_url

Make = Callable[..., Any]


class Hook(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), HookHandler)
        self.calls: list[tuple[str, dict[str, str], Any]] = []
        self.statuses: list[int] = []
        self.drip = False
        self.url = f"http://127.0.0.1:{self.server_port}"


class HookHandler(BaseHTTPRequestHandler):
    server: Hook

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.calls.append((self.path, dict(self.headers), body))
        if self.server.drip:
            for _ in range(100):
                self.wfile.write(b"H")
                time.sleep(0.1)
            return
        status = self.server.statuses.pop(0) if self.server.statuses else 204
        self.send_response(status)
        if 300 <= status < 400:
            self.send_header("Location", f"{self.server.url}/elsewhere")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *arguments: Any) -> None:
        pass


@pytest.fixture
def hook(settings: Any) -> Iterator[Hook]:
    settings.WEBHOOK_ALLOW_PRIVATE = settings.WEBHOOK_ALLOW_HTTP = True
    with Hook() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def send(hook: Hook, make_audience: Make, make_broadcast: Make) -> Make:
    def to(path: str = "/in?x=1") -> Broadcast:
        audience = make_audience(0)
        Recipient.objects.create(audience=audience, name="Robot", webhook_url=hook.url + path)
        broadcast = make_broadcast(audience=audience, channel=Channel.WEBHOOK)
        services.deliver_batch(broadcast.pk)
        return broadcast

    return to


@pytest.mark.django_db
def test_webhook_gets_the_message_with_an_idempotency_key(hook: Hook, send: Make) -> None:
    delivery = send().deliveries.get()
    assert delivery.state == "sent"
    ((path, headers, body),) = hook.calls
    assert path == "/in?x=1"
    assert headers["Idempotency-Key"] == body["id"] == str(delivery.key)
    assert headers["Content-Type"] == "application/json"
    assert (body["subject"], body["body"], body["recipient"]) == ("News", "Something happened.", "Robot")


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("status", "state"), [(200, "sent"), (503, "pending"), (429, "pending"), (404, "failed"), (410, "failed")]
)
def test_answer_decides_what_becomes_of_the_delivery(hook: Hook, send: Make, status: int, state: str) -> None:
    hook.statuses = [status]
    assert send().deliveries.get().state == state


@pytest.mark.django_db
def test_retry_has_the_same_key(hook: Hook, send: Make, settings: Any) -> None:
    settings.BROADCAST_RETRY_SECONDS = 0
    hook.statuses = [500]
    assert send().deliveries.get().attempts == 2
    first, second = (headers["Idempotency-Key"] for _, headers, _ in hook.calls)
    assert first == second


@pytest.mark.django_db
def test_redirects_are_not_followed(hook: Hook, send: Make) -> None:
    hook.statuses = [302]
    delivery = send().deliveries.get()
    assert (delivery.state, delivery.error) == ("failed", "HTTP 302: redirects are not followed")
    assert len(hook.calls) == 1


@pytest.mark.django_db
def test_recipient_that_answers_a_byte_at_a_time_is_cut_off(hook: Hook, send: Make, settings: Any) -> None:
    settings.WEBHOOK_TIMEOUT_SECONDS = 0.3
    hook.drip = True
    start = time.monotonic()
    assert send().deliveries.get().state == "pending"
    assert time.monotonic() - start < 30


@pytest.mark.django_db
def test_address_that_became_private_is_refused_at_sending(hook: Hook, settings: Any, make_audience: Make) -> None:
    audience = make_audience(0)
    Recipient.objects.create(audience=audience, webhook_url=f"http://localhost:{hook.server_port}/")
    broadcast = services.create_broadcast(
        author=None, subject="A", body="B", audience=audience, channel=Channel.WEBHOOK
    )
    services.start_broadcast(broadcast.pk)
    settings.WEBHOOK_ALLOW_PRIVATE = False
    services.deliver_batch(broadcast.pk)
    delivery = broadcast.deliveries.get()
    assert (delivery.state, delivery.error) == ("failed", "The host is not a public one.")
    assert hook.calls == []


def test_name_with_a_private_address_is_not_connected_to(hook: Hook, settings: Any) -> None:
    settings.WEBHOOK_ALLOW_PRIVATE = False
    with pytest.raises(AddressRefusedError):
        post(f"http://localhost:{hook.server_port}/", {}, {}, timeout=2)
    assert hook.calls == []


def test_nobody_listening_is_an_ordinary_error(closed_port: int, settings: Any) -> None:
    settings.WEBHOOK_ALLOW_PRIVATE = True
    with pytest.raises(OSError, match="refused"):
        connect("127.0.0.1", closed_port, 2)


@pytest.mark.parametrize(
    "url",
    [
        "http://hooks.example.com/",
        "ftp://hooks.example.com/",
        "https://",
        "https:///path",
        "https://user:pw@hooks.example.com/",
        "https://hooks.example.com/a b",
        "https://hooks.example.com/\r\nX: y",
        "https://hooks.example.com:99999/",
        "https://bücher.example/",
        "https://localhost/",
        "https://db.internal/",
        "https://127.0.0.1/",
        "https://10.0.0.1/",
        "https://169.254.169.254/latest/meta-data",
        "https://[::1]/",
        "https://[::ffff:10.0.0.1]/",
        "https://[64:ff9b::a00:1]/",
        "https://0.0.0.0/",
        "not a url",
    ],
)
def test_url_is_refused(url: str) -> None:
    with pytest.raises(ValidationError):
        validate_webhook_url(url)


@pytest.mark.parametrize(
    "url", ["https://hooks.example.com/a?b=c", "https://hooks.example.com:8443", "https://1.1.1.1/"]
)
def test_url_is_accepted(url: str) -> None:
    validate_webhook_url(url)


@pytest.mark.parametrize(
    ("address", "expected"),
    [("8.8.8.8", True), ("2606:4700::1111", True), ("100.64.0.1", False), ("fe80::1%eth0", False), ("224.0.0.1", False),
     ("2002:a00:1::", False), ("fd00::1", False)],
)  # fmt: skip
def test_public_addresses(address: str, expected: bool) -> None:
    assert is_public(address) is expected
