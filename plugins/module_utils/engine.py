# MIT License (see LICENSE)
"""The Docker Engine API over its Unix socket, with the standard library only: a tenth of what a Docker module costs."""

from __future__ import annotations

import http.client
import json
import socket
import urllib.parse


class EngineError(Exception):
    """The Engine answered with an error; status is that of HTTP, 0 when it was not asked."""

    def __init__(self, message, status=0):
        super().__init__(message)
        self.status = status


class UnixConnection(http.client.HTTPConnection):
    """HTTP over the Engine's Unix socket."""

    def __init__(self, path, timeout=30):
        super().__init__("docker", timeout=timeout)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)


class Engine:
    """The few calls that modules need, over one connection; threads need one each."""

    def __init__(self, url, timeout=30):
        scheme, _sep, path = url.partition("://")
        if scheme != "unix":
            raise EngineError("only unix:// sockets are supported, not %s" % url)
        self.path = path
        self.connection = UnixConnection(path, timeout)

    def request(self, method, path, **query):
        """Status and body; raises EngineError for the statuses of errors."""
        target = path + ("?" + urllib.parse.urlencode(query) if query else "")
        self.connection.request(method, target)
        response = self.connection.getresponse()
        body = response.read()
        if response.status >= 400:
            message = "%s: %s" % (response.status, body.decode(errors="replace")[:200])
            raise EngineError(message, response.status)
        return response.status, body

    def raw(self, path, **query):
        return self.request("GET", path, **query)[1]

    def get(self, path, **query):
        return json.loads(self.raw(path, **query))
