"""The load generator of the scenario fleet counts what a server does; it forgives nothing that a client notices."""

from __future__ import annotations

import asyncio
import importlib.util
import json
import ssl
import subprocess
import threading
import time
from pathlib import Path

import pytest

PROGRAM = Path(__file__).parents[2] / "molecule/fleet/load.py"
specification = importlib.util.spec_from_file_location("fleet_load", PROGRAM)
load = importlib.util.module_from_spec(specification)
specification.loader.exec_module(load)


@pytest.fixture(scope="module")
def pair(tmp_path_factory) -> tuple[str, str]:
    folder = tmp_path_factory.mktemp("pki")
    paths = str(folder / "server.crt"), str(folder / "server.key")
    command = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=stack.test"
    options = ["-addext", "subjectAltName=DNS:stack.test", "-out", paths[0], "-keyout", paths[1]]
    subprocess.run([*command.split(), *options], check=True, capture_output=True)
    return paths


def measure(pair, answer, requests: int = 120) -> dict:
    """The result of a load on a server that writes what answer returns to each request, and closes when told."""
    ready, port, loops, served = threading.Event(), [], [], []

    async def serve(reader, writer):
        number = 0
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                if b"Content-Length: 2" in head:
                    await reader.readexactly(2)
                number += 1
                served.append(number)
                text, end = answer(number)
                writer.write(text)
                if end or b"Connection: close" in head:
                    break
        except (asyncio.IncompleteReadError, OSError):
            pass
        writer.close()

    async def run():
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(*pair)
        server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
        port.append(server.sockets[0].getsockname()[1])
        loops.append((asyncio.get_running_loop(), stop := asyncio.Event()))
        ready.set()
        await stop.wait()
        server.close()

    thread = threading.Thread(target=asyncio.run, args=[run()])
    thread.start()
    ready.wait()
    with load.loaded(pair[0], "stack.test", [f"127.0.0.1:{port[0]}"], rate=60) as result:
        deadline = time.monotonic() + 60
        while len(served) < requests and time.monotonic() < deadline:
            time.sleep(0.05)
    loop, stop = loops[0]
    loop.call_soon_threadsafe(stop.set)
    thread.join()
    return result


def page(status: str = "200 OK", more: str = "") -> bytes:
    body = json.dumps({"release": "one", "host": "a"})
    return f"HTTP/1.1 {status}\r\n{more}Content-Length: {len(body)}\r\n\r\n{body}".encode()


def test_good_answers_are_counted_by_method_and_connection(pair):
    result = measure(pair, lambda _number: (page(), False))
    assert result["failed"] == 0, result
    assert set(result["kinds"]) == {"GET kept", "POST kept", "GET new", "POST new"}
    assert result["releases"]["one"]["hosts"] == ["a"]
    # Kept connections are kept.
    assert result["connections"]["kept"] < 10 < result["connections"]["new"]


def test_a_server_that_says_that_it_closes_loses_nothing(pair):
    result = measure(pair, lambda number: (page(more="Connection: close\r\n" * (number == 2)), number == 2))
    assert result["failed"] == 0, result
    assert result["connections"]["kept"] > 10


def test_another_status_and_a_connection_that_just_ends_are_failures(pair):
    unavailable = measure(pair, lambda _number: (page("503 Service Unavailable"), False))
    assert unavailable["failed"] == unavailable["requests"] > 0
    assert unavailable["failures"][0]["reason"] == "FailedError: status 503"
    ended = measure(pair, lambda number: (b"" if number == 2 else page(), number == 2))
    assert 0 < ended["kinds"]["POST kept"]["failed"] < ended["kinds"]["POST kept"]["requests"]
    assert ended["kinds"]["GET new"]["failed"] == 0
