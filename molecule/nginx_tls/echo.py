"""An application that does what the tests of the edge ask it for."""

from __future__ import annotations

import http.server
import json
import time
from urllib.parse import parse_qs, urlsplit


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def answer(self, status: int, body: bytes, **headers: str) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        (number,) = parse_qs(url.query).get("n", ["0"])
        kind = url.path.split("/")[2].split(";")[0]
        if kind == "headers":
            self.answer(200, json.dumps([self.path, self.headers.items()]).encode(), X_Request_ID="of-the-application")
        elif kind == "large":
            self.answer(200, b"{}", X_Large="x" * int(number))
        elif kind == "slow":
            time.sleep(float(number))
            self.answer(200, b"{}")
        elif kind == "socket":
            self.send_response(101)
            self.send_header("Connection", "upgrade")
            self.send_header("Upgrade", "websocket")
            self.end_headers()
            self.wfile.flush()
            while part := self.connection.recv(65536):
                self.connection.sendall(part)
            self.close_connection = True


http.server.ThreadingHTTPServer(("127.0.0.1", 8009), Handler).serve_forever()
