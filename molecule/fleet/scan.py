"""Which TCP ports of addresses take a connection: scan.py PORTS SECONDS ADDRESS... prints address -> ports as JSON."""

from __future__ import annotations

import errno
import json
import selectors
import socket
import sys
import time

AT_ONCE = 4000


def open_ports(address: str, ports: list[int], seconds: float) -> list[int]:
    """Those that answered within so many seconds after all of them were asked."""
    found = []
    with selectors.DefaultSelector() as selector:
        for port in ports:
            client = socket.socket()
            client.setblocking(False)
            error = client.connect_ex((address, port))
            # A container of an internal network has no route.
            if error in (errno.ENETUNREACH, errno.EHOSTUNREACH):
                client.close()
                continue
            if error not in (0, errno.EINPROGRESS):
                raise OSError(error, f"{address}:{port} cannot be asked")
            selector.register(client, selectors.EVENT_WRITE, port)
        deadline = time.monotonic() + seconds
        while selector.get_map() and (left := deadline - time.monotonic()) > 0:
            for key, _events in selector.select(left):
                if key.fileobj.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == 0:
                    found.append(key.data)
                selector.unregister(key.fileobj)
                key.fileobj.close()
        for key in list(selector.get_map().values()):
            key.fileobj.close()
    return found


def numbers(text: str) -> list[int]:
    ends = [part.split("-") for part in text.split(",")]
    return [port for end in ends for port in range(int(end[0]), int(end[-1]) + 1)]


def main() -> None:
    ports, seconds, addresses = numbers(sys.argv[1]), float(sys.argv[2]), sys.argv[3:]
    parts = [ports[start : start + AT_ONCE] for start in range(0, len(ports), AT_ONCE)]
    found = {address: [port for part in parts for port in open_ports(address, part, seconds)] for address in addresses}
    print(json.dumps(found))


if __name__ == "__main__":
    main()
