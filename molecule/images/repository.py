"""Serves a folder over HTTP to those who know its password: repository.py FOLDER PORT PASSWORD, the user is x."""

from __future__ import annotations

import base64
import functools
import http.server
import sys

FOLDER, PORT, PASSWORD = sys.argv[1:]
EXPECTED = "Basic " + base64.b64encode(f"x:{PASSWORD}".encode()).decode()


class Repository(http.server.SimpleHTTPRequestHandler):
    """Files for whom the password is known."""

    def do_GET(self) -> None:
        """Answer 401 without the password."""
        if self.headers.get("Authorization") == EXPECTED:
            super().do_GET()
        else:
            self.send_response(401)
            self.send_header("WWW-Authenticate", 'Basic realm="repository"')
            self.end_headers()


http.server.ThreadingHTTPServer(("", int(PORT)), functools.partial(Repository, directory=FOLDER)).serve_forever()
