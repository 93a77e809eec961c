"""Which TCP ports of addresses take a connection: scan.py PORTS SECONDS ADDRESS... prints address -> ports as JSON."""

from __future__ import annotations

import asyncio
import json
import sys

AT_ONCE = 500


async def open_ports(address: str, ports: list[int], seconds: float) -> list[int]:
    free = asyncio.Semaphore(AT_ONCE)

    async def takes(port: int) -> bool:
        async with free:
            try:
                _reader, writer = await asyncio.wait_for(asyncio.open_connection(address, port), seconds)
            except (OSError, asyncio.TimeoutError):  # noqa: UP041 - the same only since Python 3.11
                return False
            writer.transport.abort()
            return True

    taken = await asyncio.gather(*(takes(port) for port in ports))
    return [port for port, is_taken in zip(ports, taken) if is_taken]  # noqa: B905 - both are as long


def numbers(text: str) -> list[int]:
    ends = [part.split("-") for part in text.split(",")]
    return [port for end in ends for port in range(int(end[0]), int(end[-1]) + 1)]


async def main() -> None:
    ports, seconds, addresses = numbers(sys.argv[1]), float(sys.argv[2]), sys.argv[3:]
    print(json.dumps({address: await open_ports(address, ports, seconds) for address in addresses}))


if __name__ == "__main__":
    asyncio.run(main())
