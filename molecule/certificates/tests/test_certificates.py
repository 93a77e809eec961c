"""The authority and its certificates, as OpenSSL judges them."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest


@pytest.fixture(scope="module")
def store() -> Path:
    return Path(os.environ["MOLECULE_EPHEMERAL_DIRECTORY"]) / "pki"


def openssl(*arguments: str | Path) -> str:
    done = subprocess.run(["openssl", *map(str, arguments)], capture_output=True, text=True, check=False)
    return done.stdout + done.stderr


def verified(store: Path, name: str, *checks: str) -> bool:
    told = openssl("verify", "-x509_strict", "-CAfile", store / "ca.crt", *checks, store / f"{name}.crt")
    return told.strip().endswith(".crt: OK")


@pytest.mark.parametrize(("name", "address"), [("db", "10.0.0.11"), ("edge", "10.0.0.12")])
def test_a_certificate_is_for_its_name_and_its_address(store, name, address):
    assert verified(
        store, name, "-verify_hostname", f"{name}.shop.test", "-verify_ip", address, "-purpose", "sslserver"
    )
    assert not verified(store, name, "-verify_ip", "10.0.0.99")


def test_only_who_may_can_use_it_as_a_client(store):
    assert verified(store, "edge", "-purpose", "sslclient")
    assert not verified(store, "db", "-purpose", "sslclient")


def test_keys_are_their_owners(store):
    assert (store.stat().st_mode & 0o777) == 0o700
    assert {path.stat().st_mode & 0o777 for path in store.glob("*.key")} == {0o600}


def test_a_certificate_is_renewed_before_it_expires_and_the_authority_stays(store, converge):
    authority, key = ((store / name).read_bytes() for name in ("ca.crt", "ca.key"))
    before = (store / "db.crt").read_text()
    run = converge(certificates_renew_days=364, certificates_valid_days=366)
    assert run.returncode == 0, run.stdout
    assert (store / "db.crt").read_text() == before
    try:
        run = converge(certificates_renew_days=365, certificates_valid_days=366)
        assert "expires within 365 days" in run.stdout
        assert (store / "db.crt").read_text() != before
        assert verified(store, "db", "-verify_ip", "10.0.0.11")
        assert [(store / name).read_bytes() for name in ("ca.crt", "ca.key")] == [authority, key]
    finally:
        assert converge().returncode == 0


def test_an_authority_that_expires_keeps_its_key_and_what_it_has_signed(store, converge):
    old = store / "old.crt"
    try:
        openssl(
            *("req", "-x509", "-key", store / "ca.key", "-subj", "/CN=Private authority", "-days", "9", "-out", old),
            *("-addext", "keyUsage=critical,keyCertSign,cRLSign"),
        )
        key, leaf = (store / "ca.key").read_bytes(), (store / "edge.crt").read_bytes()
        (store / "ca.crt").write_bytes(old.read_bytes())
        run = converge()
        assert run.returncode == 0, run.stdout
        assert "authority: the certificate expires within 400 days" in run.stdout
        assert (store / "ca.crt").read_bytes() != old.read_bytes()
        assert ((store / "ca.key").read_bytes(), (store / "edge.crt").read_bytes()) == (key, leaf)
        assert verified(store, "edge")
    finally:
        old.unlink(missing_ok=True)


def test_an_authority_without_its_key_is_not_replaced(store, converge):
    authority = (store / "ca.crt").read_bytes()
    key = (store / "ca.key").rename(store / "ca.key.away")
    try:
        run = converge()
        assert run.returncode != 0
        assert "put the authority's key back" in " ".join(run.stdout.split())
        assert (store / "ca.crt").read_bytes() == authority
    finally:
        key.rename(store / "ca.key")


def test_a_misspelt_usage_is_refused(converge):
    run = converge(certificates_wanted=[{"name": "db", "usages": ["server"]}])
    assert run.returncode != 0
    assert "certificates_wanted" in run.stdout
