"""POST to an address that somebody typed in: only to public hosts, no redirects, bounded in time.

The address that was examined is the address that is connected to, so a name cannot change its mind in between.
"""

import http.client
import ipaddress
import json
import socket
import ssl
import threading
from functools import cache
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.core.exceptions import ValidationError

NAT64 = ipaddress.IPv6Network("64:ff9b::/96")


class AddressRefusedError(OSError):
    """The host has an address that webhooks must not reach."""


def validate_webhook_url(url: str) -> None:
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise ValidationError("This is not a valid URL.") from error
    schemes = {"https", "http"} if settings.WEBHOOK_ALLOW_HTTP else {"https"}
    if parts.scheme not in schemes:
        raise ValidationError(f"The URL has to start with {' or '.join(f'{scheme}://' for scheme in sorted(schemes))}.")
    if not parts.hostname or port == 0:
        raise ValidationError("The URL has no valid host.")
    if parts.username is not None or parts.password is not None:
        raise ValidationError("User name and password are not possible in the URL.")
    if not url.isascii() or any(character <= " " or character == "\x7f" for character in url):
        raise ValidationError("The URL may contain visible ASCII characters only; encode others.")
    if not settings.WEBHOOK_ALLOW_PRIVATE and not names_public_host(parts.hostname):
        raise ValidationError("The host is not a public one.")


def names_public_host(host: str) -> bool:
    """Whether a literal address is public; a name is looked up when the message is sent."""
    try:
        return is_public(host)
    except ValueError:
        return "." in host and not host.rstrip(".").endswith((".local", ".localhost", ".internal"))


def is_public(address: str) -> bool:
    ip = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(ip, ipaddress.IPv6Address):
        inner = ip.ipv4_mapped or ip.sixtofour or (ip.teredo[1] if ip.teredo else None) or translated(ip)
        if inner is not None and not is_public(str(inner)):
            return False
    return ip.is_global and not ip.is_multicast


def translated(ip: ipaddress.IPv6Address) -> ipaddress.IPv4Address | None:
    return ipaddress.IPv4Address(ip.packed[-4:]) if ip in NAT64 else None


def post(url: str, payload: dict[str, Any], headers: dict[str, str], timeout: float) -> int:
    """The status of the answer; OSError or HTTPException when there is none."""
    parts = urlsplit(url)
    connection = open_connection(parts.scheme, parts.hostname or "", parts.port, timeout)
    # The socket's timeout is for each read; this one is for all, for a host that answers a byte at a time.
    watchdog = threading.Timer(2 * timeout, shut_down, [connection])
    watchdog.daemon = True
    watchdog.start()
    try:
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        body = json.dumps(payload).encode()
        connection.request(
            "POST", target, body, {"Content-Type": "application/json", "User-Agent": "broadcast/1", **headers}
        )
        return connection.getresponse().status
    finally:
        watchdog.cancel()
        connection.close()


def open_connection(scheme: str, host: str, port: int | None, timeout: float) -> http.client.HTTPConnection:
    context = tls_context() if scheme == "https" else None
    connection = (
        http.client.HTTPSConnection(host, port, timeout=timeout, context=context)
        if context
        else http.client.HTTPConnection(host, port, timeout=timeout)
    )
    plain = connect(host, connection.port, timeout)
    try:
        connection.sock = context.wrap_socket(plain, server_hostname=host) if context else plain
    except BaseException:
        plain.close()
        raise
    return connection


@cache
def tls_context() -> ssl.SSLContext:
    return ssl.create_default_context()


def connect(host: str, port: int, timeout: float) -> socket.socket:
    addresses = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    if not settings.WEBHOOK_ALLOW_PRIVATE and not all(is_public(str(entry[4][0])) for entry in addresses):
        raise AddressRefusedError(f"{host} has an address that is not public")
    failure: OSError | None = None
    for family, kind, protocol, _, address in addresses:
        plain = socket.socket(family, kind, protocol)
        plain.settimeout(timeout)
        try:
            plain.connect(address)
        except OSError as error:
            plain.close()
            failure = error
        else:
            return plain
    raise failure or OSError(f"{host} has no address")


def shut_down(connection: http.client.HTTPConnection) -> None:
    if connection.sock:
        try:
            connection.sock.shutdown(socket.SHUT_RDWR)
        except OSError:
            return
