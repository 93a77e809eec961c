# MIT License (see LICENSE)
"""The Docker Engine API over its Unix socket, with the standard library only: a tenth of what a Docker module costs."""

from __future__ import annotations

import http.client
import json
import socket
import struct
import urllib.parse

from ansible.module_utils.basic import env_fallback

# Where modules find the Engine, those of community.docker too: DOCKER_HOST on the host where they run, else the usual
# socket. They do not know the contexts of the command line client.
DEFAULT_HOST = "unix:///var/run/docker.sock"
HOST_OPTION = {"type": "str", "default": DEFAULT_HOST, "fallback": (env_fallback, ["DOCKER_HOST"])}
# What the Engine gives a container that asks for nothing.
DEFAULT_GRACE = 10
# Seconds that the Engine itself needs beyond the grace.
ANSWER_SECONDS = 60
# Seconds for an answer to any other call; an Engine that builds or loads images may take half a minute to list them.
PATIENCE = 120
MISSING = 404


class EngineError(Exception):
    """The Engine answered with an error; status is that of HTTP, 0 when it was not asked."""

    def __init__(self, message, status=0):
        super().__init__(message)
        self.status = status


class UnixConnection(http.client.HTTPConnection):
    """HTTP over the Engine's Unix socket."""

    def __init__(self, path, timeout=PATIENCE):
        super().__init__("docker", timeout=timeout)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)


class Engine:
    """The few calls that modules need, over one connection; threads need one each."""

    def __init__(self, url, timeout=PATIENCE):
        scheme, _sep, path = url.partition("://")
        if scheme != "unix":
            raise EngineError("only unix:// sockets are supported, not %s: unset DOCKER_HOST, or set it to one" % url)
        self.path = path
        self.connection = UnixConnection(path, timeout)

    def request(self, method, path, content=None, **query):
        """Status and body; raises EngineError for the statuses of errors. content: what is sent, as JSON."""
        target = path + ("?" + urllib.parse.urlencode(query) if query else "")
        body = None if content is None else json.dumps(content)
        self.connection.request(method, target, body, {} if content is None else {"Content-Type": "application/json"})
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

    def post(self, path, content=None, **query):
        """The answer to a change; None when it has no body."""
        body = self.request("POST", path, content, **query)[1]
        return json.loads(body) if body.strip() else None

    def container(self, name):
        """The container, or None. The Engine finds containers by a part of their id as well, which is another one's."""
        try:
            detail = self.get("/containers/%s/json" % name)
        except EngineError as error:
            if error.status == MISSING:
                return None
            raise
        return detail if detail["Name"] == "/" + name else None

    def answer(self, container, command):
        """Exit code and output (standard, errors) of a command in a running container."""
        created = self.post(
            "/containers/%s/exec" % container, {"Cmd": command, "AttachStdout": True, "AttachStderr": True}
        )
        path = "/exec/%s" % created["Id"]
        stream = self.request("POST", path + "/start", {"Detach": False, "Tty": False})[1]
        return self.get(path + "/json")["ExitCode"], joined(stream, [1]), joined(stream, [2])


def health_command(detail):
    """Command of a container's health check; empty without one."""
    kind, *words = (detail["Config"].get("Healthcheck") or {}).get("Test") or ["NONE"]
    return {"CMD": words, "CMD-SHELL": ["/bin/sh", "-c", *words]}.get(kind, [])


def grace_of(detail, extra=0):
    """Seconds from the stop signal to the kill; negative for a container that is never to be killed."""
    own = detail["Config"].get("StopTimeout")
    own = DEFAULT_GRACE if own is None else own
    return own + extra if own >= 0 else own


def patience(grace):
    """Seconds to wait for the Engine's answer to a stop; None without end."""
    return grace + ANSWER_SECONDS if grace >= 0 else None


def frames(stream):
    """Parts of the Engine's stream in their order, each with the number of its own: 1 is standard output, 2 errors.

    A frame is one byte stream number, three of padding, four of length (big endian), and the content.
    """
    position = 0
    while position + 8 <= len(stream):
        number, size = struct.unpack(">BxxxI", stream[position : position + 8])
        yield number, stream[position + 8 : position + 8 + size]
        position += 8 + size


def joined(stream, numbers=(1, 2)):
    """Text of the Engine's stream, of those with these numbers."""
    return b"".join(part for number, part in frames(stream) if number in numbers).decode(errors="replace")
