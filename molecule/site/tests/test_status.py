"""A status on a real host says what users feel: a fault each, its exit code and its sentence."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
STACK = "broadcast"
Status = Callable[..., dict]


@pytest.fixture
def status(play, tmp_path: Path) -> Status:
    """What a status reports, as a document."""

    def run(**variables: object) -> dict:
        output = tmp_path / "status.json"
        done = play(ROOT / "playbooks/status.yml", format="json", output=str(output), **variables)
        assert output.exists(), done.stdout
        found = json.loads(output.read_text())
        assert done.returncode == found["exit_code"], done.stdout
        return found

    return run


@pytest.fixture
def web(host) -> str:
    """Name of the live web."""
    (name,) = [
        name
        for name in host.check_output("docker ps --format '{{.Names}}'").split()
        if name.startswith(f"{STACK}-web-")
    ]
    return name


def manage(host, web: str, code: str) -> str:
    return host.check_output(f"docker exec {web} python manage.py shell -c %s", code)


def psql(host, statement: str) -> str:
    command = f"docker exec {STACK}-postgres psql --no-psqlrc --username=postgres --dbname={STACK} --command=%s"
    return host.check_output(command, statement)


def wait_healthy(host, name: str) -> None:
    deadline = time.monotonic() + 90
    while '"healthy"' not in host.check_output(f"docker inspect --format '{{{{json .State.Health.Status}}}}' {name}"):
        assert time.monotonic() < deadline
        time.sleep(1)


def test_a_stack_that_serves_is_healthy(status):
    found = status()
    assert found["problems"] + found["degraded"] == []


def test_a_full_broker_is_broken(host, web, status):
    connect = "import os, redis; r = redis.Redis.from_url(open('/run/secrets/celery_broker_url').read().strip()); "
    fill = (
        "import contextlib\n"
        "with contextlib.suppress(redis.ResponseError):\n"
        "    for number in range(100): r.set(f'filler-{number}', os.urandom(1) * 8_000_000)"
    )
    manage(host, web, connect + "\n" + fill)
    try:
        found = status()
        assert found["exit_code"] in (1, 3), found
        told = found["problems"] + found["degraded"]
        assert any(f"{STACK}-redis-broker is" in line and "full" in line for line in told), told
    finally:
        manage(host, web, connect + "[r.delete(key) for key in r.scan_iter('filler-*')]")
    assert status()["problems"] == []


@pytest.fixture
def restored(host) -> Iterator[None]:
    """A table as the superuser's restore leaves it."""
    psql(host, "CREATE TABLE restored (id int)")
    yield
    psql(host, "DROP TABLE restored")


@pytest.mark.usefixtures("restored")
def test_a_table_that_the_application_may_not_use_is_broken(status):
    found = status()
    assert found["exit_code"] == 1
    assert any("the application may be refused what it needs" in line for line in found["problems"]), found
    assert any("restored" in line for line in found["problems"]), found


def test_a_process_that_was_killed_for_memory_is_told(host, web, status):
    host.run(f"docker exec {web} python -c 'x = bytearray(2 * 10**9)'")
    found = status()
    assert any(f"{web}: 1 process was killed for want of memory" in line for line in found["degraded"]), found
    assert found["exit_code"] == 3
    # Counted since the start of the container, so for the tests that follow it starts anew.
    host.check_output(f"docker restart {web}")
    wait_healthy(host, web)


def test_a_full_disk_and_a_page_that_does_not_answer_are_broken(status):
    found = status(stack_docker_free_mb_min=10**9, backend_smoke_paths=["/", "/no-such-page/"])
    assert any("are free for Docker" in line for line in found["problems"]), found
    assert any("/no-such-page/ with Host stack.test answered 404" in line for line in found["problems"]), found
    assert found["exit_code"] == 1


def test_a_release_whose_pages_do_not_answer_gets_no_request(host, web, converge):
    run = converge(
        backend_env={"WEBHOOK_ALLOW_PRIVATE": "0"}, backend_smoke_paths=["/no-such-page/"], backend_ready_wait_seconds=6
    )
    assert run.returncode != 0
    assert "/no-such-page/ with Host stack.test answered 404" in run.stdout, run.stdout
    assert "serves on all hosts as before" in " ".join(run.stdout.split()), run.stdout
    names = host.check_output("docker ps --format '{{.Names}}'").split()
    assert [name for name in names if name.startswith(f"{STACK}-web-")] == [web]


# The last one: its errors count for five minutes.
def test_errors_that_users_met_at_the_edge_are_told(host, web, status):
    host.check_output(f"docker stop {web}")
    try:
        asked = "curl --silent --insecure --output /dev/null --write-out '%{http_code} ' https://stack.test/"
        # At once: each waits until nobody answers at the container's address.
        command = f"seq 30 | xargs -P 30 -I number {asked} --resolve stack.test:443:127.0.0.1"
        answers = host.check_output(command).split()
    finally:
        host.check_output(f"docker start {web}")
    assert len(answers) == 30
    assert all(answer.startswith("5") for answer in answers), answers
    wait_healthy(host, web)
    found = status()
    assert any("ended with an error of the server" in line for line in found["problems"] + found["degraded"]), found
    assert found["exit_code"] in (1, 3)
