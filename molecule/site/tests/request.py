"""Runs on the host: one request to its own edge, whose certificate has to be good; prints the answer as JSON."""

import http.client
import json
import socket
import ssl
import sys
from urllib.parse import urlsplit

url, method, token, body = ([*sys.argv[1:], "", "", "", ""])[:4]
parts = urlsplit(url)


def to_localhost(_address, timeout=None, source_address=None):
    return socket.create_connection(("127.0.0.1", parts.port or {"http": 80, "https": 443}[parts.scheme]), timeout)


if parts.scheme == "https":
    context = ssl.create_default_context(cafile="/tmp/ca.pem")
    connection = http.client.HTTPSConnection(parts.hostname, timeout=30, context=context)
else:
    connection = http.client.HTTPConnection(parts.hostname, timeout=30)
connection._create_connection = to_localhost
headers = {"Content-Type": "application/json"}
if token:
    headers["Authorization"] = "Token " + token
connection.request(method or "GET", parts.path or "/", body or None, headers)
answer = connection.getresponse()
print(
    json.dumps(
        {
            "status": answer.status,
            "headers": {key.lower(): value for key, value in answer.getheaders()},
            "body": answer.read().decode(errors="replace"),
        }
    )
)
