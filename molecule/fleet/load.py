#!/usr/bin/env python3
"""A bounded load of GET and POST requests on all edges, over kept and new TLS connections, until it is told to end.

    load.py --ca ca.crt --name stack.test --rate 120 10.213.91.11 10.213.91.12

It ends when its standard input closes, so with whoever started it, and prints one JSON object. An answer other than
200, a late one and a connection that ends instead of answering are failures, also on a kept connection: a client cannot
know whether a POST was done. Only a connection that the server has closed before a request was written is opened anew.
"""

from __future__ import annotations

import argparse
import asyncio
import collections
import contextlib
import json
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator

TIMEOUT = 15
# Kind -> share of the rate. A new connection costs client and edge a handshake.
SHARES = {("GET", "kept"): 0.45, ("POST", "kept"): 0.25, ("GET", "new"): 0.2, ("POST", "new"): 0.1}
# Each connection sends at most so many requests a second, so that a slow answer does not lower the rate.
PER_CONNECTION = 5


class FailedError(Exception):
    """One request without a good answer."""


class Load:
    """Counts what all connections see."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.options = options
        self.context = ssl.create_default_context(cafile=options.ca)
        self.began = time.monotonic()
        self.stop = asyncio.Event()
        self.totals: collections.Counter = collections.Counter()
        self.reasons: dict[str, collections.Counter] = collections.defaultdict(collections.Counter)
        self.slowest: dict[str, float] = collections.defaultdict(float)
        self.failures: list[dict] = []
        self.connections: collections.Counter = collections.Counter()
        self.seen: dict[str, dict] = {}
        self.last = dict.fromkeys(options.edges, self.began)
        self.pauses = dict.fromkeys(options.edges, 0.0)

    async def run(self) -> dict:
        tasks = []
        for edge in self.options.edges:
            for (method, connection), share in SHARES.items():
                rate = self.options.rate * share / len(self.options.edges)
                number = max(1, round(rate / PER_CONNECTION))
                for index in range(number):
                    tasks.append(self.client(edge, method, connection, number / rate, index / rate))
        await asyncio.gather(*tasks)
        return self.result()

    async def client(self, edge: str, method: str, connection: str, interval: float, delay: float) -> None:
        """Sends a request every interval; one that was answered late is made up for, up to a second."""
        streams = None
        due = time.monotonic() + delay
        while not await self.stopped(due):
            due = max(due + interval, time.monotonic() - 1)
            started = time.monotonic()
            kind = f"{method} {connection}"
            try:
                async with asyncio.timeout(TIMEOUT):
                    if streams is None or streams[0].at_eof() or streams[1].is_closing():
                        await close(streams)
                        streams = None
                        streams = await self.connect(edge, connection)
                    keep, answer = await exchange(*streams, self.request(method, connection))
                self.answered(edge, answer)
                reason = ""
            except TimeoutError:
                keep, reason = False, f"no answer in {TIMEOUT} s"
            except (OSError, EOFError, ssl.SSLError, FailedError, ValueError) as error:
                keep, reason = False, f"{type(error).__name__}: {error}"[:200]
            if not keep:
                await close(streams)
                streams = None
            self.count(edge, kind, started, reason)
        await close(streams)

    async def stopped(self, due: float) -> bool:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self.stop.wait(), max(0.0, due - time.monotonic()))
        return self.stop.is_set()

    async def connect(self, edge: str, connection: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        self.connections[connection] += 1
        host, _separator, port = edge.partition(":")
        return await asyncio.open_connection(
            host, int(port or 443), ssl=self.context, server_hostname=self.options.name
        )

    def request(self, method: str, connection: str) -> bytes:
        body = b"{}" if method == "POST" else b""
        lines = [
            f"{method} {self.options.path} HTTP/1.1",
            f"Host: {self.options.name}",
            "User-Agent: load",
            f"Connection: {'keep-alive' if connection == 'kept' else 'close'}",
            *(["Content-Type: application/json", f"Content-Length: {len(body)}"] if body else []),
        ]
        return "\r\n".join([*lines, "", ""]).encode() + body

    def answered(self, edge: str, body: bytes) -> None:
        now = time.monotonic()
        self.pauses[edge] = max(self.pauses[edge], now - self.last[edge])
        self.last[edge] = now
        answer = json.loads(body)
        release = self.seen.setdefault(
            str(answer["release"]), {"answers": 0, "hosts": set(), "first": round(now - self.began, 2)}
        )
        release["answers"] += 1
        release["hosts"].add(str(answer.get("host")))
        release["last"] = round(now - self.began, 2)

    def count(self, edge: str, kind: str, started: float, reason: str) -> None:
        now = time.monotonic()
        self.totals[kind] += 1
        self.slowest[kind] = max(self.slowest[kind], now - started)
        if reason:
            self.reasons[kind][reason] += 1
            if len(self.failures) < 50:
                self.failures.append(
                    {"at": round(started - self.began, 2), "took": round(now - started, 2), "edge": edge, "kind": kind}
                    | {"reason": reason, "clock": time.strftime("%H:%M:%S", time.gmtime())}
                )

    def result(self) -> dict:
        now = time.monotonic()
        seconds = now - self.began
        pauses = {edge: max(pause, now - self.last[edge]) for edge, pause in self.pauses.items()}
        return {
            "seconds": round(seconds, 1),
            "requests": self.totals.total(),
            "failed": sum(reasons.total() for reasons in self.reasons.values()),
            "requests_per_second": round(self.totals.total() / seconds, 1),
            "connections": dict(self.connections),
            "kinds": {
                kind: {
                    "requests": total,
                    "failed": self.reasons[kind].total(),
                    "reasons": dict(self.reasons[kind]),
                    "slowest_seconds": round(self.slowest[kind], 2),
                }
                for kind, total in sorted(self.totals.items())
            },
            "releases": {name: {**seen, "hosts": sorted(seen["hosts"])} for name, seen in self.seen.items()},
            "longest_pause_seconds": {edge: round(pause, 2) for edge, pause in pauses.items()},
            "failures": self.failures,
        }


async def close(streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None) -> None:
    if streams is not None:
        # What comes after the last answer is of no interest, and no wait for the peer's farewell.
        streams[1].transport.abort()


async def exchange(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, request: bytes) -> tuple[bool, bytes]:
    """Whether the connection may be used again, and the body of a good answer."""
    writer.write(request)
    await writer.drain()
    try:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    except asyncio.IncompleteReadError as error:
        raise FailedError(f"the connection ended instead of an answer ({len(error.partial)} bytes)") from None
    headers = {name.lower(): value.strip() for name, _separator, value in (line.partition(":") for line in head[1:])}
    if headers.get("transfer-encoding", "").lower() == "chunked":
        body = b""
        while size := int((await reader.readline()).split(b";")[0], 16):
            body += await reader.readexactly(size)
            await reader.readline()
        await reader.readline()
    else:
        body = await reader.readexactly(int(headers["content-length"]))
    status = head[0].split(" ")[1]
    if status != "200":
        raise FailedError(f"status {status}")
    return headers.get("connection", "").lower() != "close", body


@contextlib.contextmanager
def loaded(ca: str, name: str, edges: list[str], rate: int = 120, seconds: float = 0) -> Iterator[dict]:
    """Load while the block runs, or for so many seconds; afterwards the dictionary holds the result."""
    options = {"ca": ca, "name": name, "rate": rate, "seconds": seconds}
    command = [sys.executable, __file__, *(f"--{option}={value}" for option, value in options.items()), *edges]
    result: dict = {}
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield result
        finally:
            output, _nothing = process.communicate()
    result.update(json.loads(output))


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ca", required=True, help="certificate authority of the edges")
    parser.add_argument("--name", required=True, help="name that the requests are for")
    parser.add_argument("--path", default="/probe/")
    parser.add_argument("--rate", type=int, default=120, help="requests per second, all edges together")
    parser.add_argument("--seconds", type=float, default=0, help="end after so long, whatever the standard input does")
    parser.add_argument("edges", nargs="+", help="address or address:port")
    options = parser.parse_args()
    load = Load(options)
    loop = asyncio.get_running_loop()
    if options.seconds:
        loop.call_later(options.seconds, load.stop.set)
    else:
        loop.add_reader(sys.stdin, lambda: load.stop.set() if not sys.stdin.buffer.read1() else None)
    print(json.dumps(await load.run(), indent=2))


if __name__ == "__main__":
    asyncio.run(main())
