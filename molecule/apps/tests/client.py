"""Runs on the host: asks the edge of a stack, whose certificate has to be good; prints the answer as JSON.

The one argument is JSON: url, authority (file), and for a request method, headers, body or size (of a body); or say
(text for a WebSocket).
"""

import base64
import http.client
import json
import os
import socket
import ssl
import sys
import time
from urllib.parse import urlsplit

asked = json.loads(sys.argv[1])
parts = urlsplit(asked["url"])
port = parts.port or {"http": 80, "https": 443}[parts.scheme]


def to_localhost(_address, timeout=None, source_address=None):
    return socket.create_connection(("127.0.0.1", port), timeout)


def request(context):
    if parts.scheme == "https":
        connection = http.client.HTTPSConnection(parts.hostname, port, timeout=60, context=context)
    else:
        connection = http.client.HTTPConnection(parts.hostname, port, timeout=60)
    connection._create_connection = to_localhost
    body = "x" * asked["size"] if "size" in asked else asked.get("body")
    connection.request(
        asked.get("method", "GET"), asked["url"].partition(parts.netloc)[2], body, asked.get("headers", {})
    )
    answer = connection.getresponse()
    chunks = []
    while chunk := answer.read1():
        chunks.append((time.monotonic(), chunk))
    return {
        "status": answer.status,
        "headers": {key.lower(): value for key, value in answer.getheaders()},
        "body": b"".join(chunk for _, chunk in chunks).decode(errors="replace"),
        "seconds_between_first_and_last": chunks[-1][0] - chunks[0][0] if chunks else 0,
    }


def websocket(context):
    stream = context.wrap_socket(to_localhost(None, 60), server_hostname=parts.hostname)
    key = base64.b64encode(os.urandom(16)).decode()
    head = {
        "Host": parts.netloc,
        "Connection": "Upgrade",
        "Upgrade": "websocket",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": key,
    }
    lines = [f"GET {parts.path} HTTP/1.1", *(f"{name}: {value}" for name, value in head.items()), "", ""]
    stream.sendall("\r\n".join(lines).encode())
    reader = stream.makefile("rb")
    status = int(reader.readline().split()[1])
    while reader.readline().strip():
        pass
    if status != 101:
        return {"status": status}
    text, mask = asked["say"].encode(), os.urandom(4)
    masked = bytes(byte ^ mask[index % 4] for index, byte in enumerate(text))
    stream.sendall(bytes([0x81, 0x80 | len(text)]) + mask + masked)
    _, length = reader.read(2)
    return {"status": status, "body": reader.read(length).decode()}


try:
    context = ssl.create_default_context(cafile=asked["authority"])
    answer = websocket(context) if "say" in asked else request(context)
except ssl.SSLCertVerificationError as error:
    answer = {"status": 0, "error": str(error)}
print(json.dumps(answer))
