"""SCRAM verifiers of PostgreSQL."""

from __future__ import annotations

import base64

import pytest
from ansible.errors import AnsibleFilterError
from ansible_collections.broadcast.stack.plugins.filter.postgres_scram import verifier


def test_verifier_is_the_one_that_postgresql_computes() -> None:
    # The password and salt of the example exchange in RFC 7677.
    salt = base64.b64decode("W22ZaJ0SNY7soEsUEjb6gQ==")
    assert verifier("pencil", salt) == (
        "SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:"
        "wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU="
    )


def test_same_password_gets_another_salt_each_time() -> None:
    assert verifier("pencil") != verifier("pencil")


def test_password_is_not_in_the_verifier() -> None:
    assert "a-long-password" not in verifier("a-long-password")


@pytest.mark.parametrize("password", ["", "pässword", "line\nbreak"])
def test_password_that_is_not_printable_ascii_is_refused(password: str) -> None:
    with pytest.raises(AnsibleFilterError, match="printable ASCII") as refusal:
        verifier(password)
    assert not password or password not in str(refusal.value)
