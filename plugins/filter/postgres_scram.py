# MIT License (see LICENSE)
"""Filter that turns a password into what PostgreSQL stores, so that the password itself never reaches the server."""

from __future__ import annotations

import base64
import hashlib
import hmac
import os

from ansible.errors import AnsibleFilterError

ITERATIONS = 4096


def verifier(password: object, salt: bytes | None = None) -> str:
    """SCRAM-SHA-256 verifier (RFC 5803) of a password, with a new random salt at every call."""
    text = str(password)
    # Outside printable ASCII client and server would have to agree on Unicode preparation.
    if not text or not text.isascii() or not text.isprintable():
        raise AnsibleFilterError("A PostgreSQL password must not be empty and consist of printable ASCII characters")
    salt = os.urandom(16) if salt is None else salt
    salted = hashlib.pbkdf2_hmac("sha256", text.encode(), salt, ITERATIONS)
    stored_key = hashlib.sha256(hmac.digest(salted, b"Client Key", "sha256")).digest()
    server_key = hmac.digest(salted, b"Server Key", "sha256")
    encoded = [base64.b64encode(part).decode() for part in (salt, stored_key, server_key)]
    return "SCRAM-SHA-256$%d:%s$%s:%s" % (ITERATIONS, *encoded)


class FilterModule:
    """PostgreSQL passwords."""

    def filters(self):
        return {"postgres_scram_verifier": verifier}
