"""What web is asked, and the program that asks it, against a server that answers as told."""

from __future__ import annotations

import http.server
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from ansible_collections.broadcast.stack.plugins.filter.web_questions import health_questions, ready_questions

PROBE = Path(__file__).resolve().parents[2] / "roles/django_web/files/probe"
HEALTH = {"path": "/health/", "ready_path": "", "smoke_paths": [], "statuses": [200, 204]}


class Server(http.server.BaseHTTPRequestHandler):
    """Answers with the status that the path ends with."""

    def do_GET(self) -> None:
        self.send_response(int(self.path.rpartition("/")[2]))
        self.end_headers()
        self.wfile.write(b"the body")

    def log_message(self, *_arguments: object) -> None:
        """Tests print what matters."""


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Server) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_port
        server.shutdown()


def ask(port: int, *questions: str) -> subprocess.CompletedProcess:
    command = ["bash", "-c", PROBE.read_text(), str(port), "shop.test", "https", "5", *questions]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def test_questions_are_pairs_of_statuses_and_a_path():
    assert health_questions(HEALTH) == ["200 204", "/health/"]
    assert ready_questions(HEALTH) == []
    smoke = ["/", {"path": "/admin/", "statuses": [302]}]
    assert ready_questions({**HEALTH, "ready_path": "/ready/", "smoke_paths": smoke}) == [
        *("200 204", "/ready/"),
        *("2?? 3??", "/"),
        *("302", "/admin/"),
    ]


@pytest.mark.parametrize(
    ("questions", "said"),
    [
        (["200", "/200"], ""),
        (["200 204", "/204", "2?? 3??", "/302"], ""),
        ([], ""),
        (["200", "/500"], "/500 with Host shop.test answered 500"),
        (["200", "/200", "2?? 3??", "/404"], "/404 with Host shop.test answered 404"),
        (["2?? 3??", "/500", "200", "/200"], "/500 with Host shop.test answered 500"),
    ],
)
def test_every_path_has_to_answer(port, questions, said):
    done = ask(port, *questions)
    assert (done.returncode == 0) is (said == ""), done
    assert done.stdout.startswith(said)
    assert ("the body" in done.stdout) is bool(said)


def test_nobody_who_listens_is_no_answer():
    assert ask(1, "200", "/200").returncode != 0
