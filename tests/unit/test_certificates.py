"""The lookup that tells what the role certificates has to make."""

from __future__ import annotations

import datetime
import ipaddress

import pytest
from ansible_collections.broadcast.stack.plugins.filter.certificate_problems import certificate_problems
from ansible_collections.broadcast.stack.plugins.lookup.certificates import read_store
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

DAY = datetime.timedelta(days=1)
WANTED = [{"name": "db", "names": ["db"], "addresses": ["10.0.0.1"], "usages": ["serverAuth"]}]


def pem(key: ec.EllipticCurvePrivateKey) -> str:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


def certificate(key, issuer_key, subject="db", days=300) -> str:
    def name(text: str) -> x509.Name:
        return x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, text)])

    now = datetime.datetime.now(datetime.UTC)
    alternatives = [x509.DNSName("db"), x509.IPAddress(ipaddress.ip_address("10.0.0.1"))]
    return (
        x509.CertificateBuilder(name("ca"), name(subject), key.public_key(), x509.random_serial_number())
        .not_valid_before(now - DAY)
        .not_valid_after(now + days * DAY)
        .add_extension(x509.SubjectAlternativeName(alternatives), critical=False)
        .add_extension(x509.ExtendedKeyUsage([x509.ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .sign(issuer_key, hashes.SHA256())
        .public_bytes(Encoding.PEM)
        .decode()
    )


KEY, CA_KEY = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
GOOD = {
    "ca.crt": certificate(CA_KEY, CA_KEY, "ca", 3650),
    "ca.key": pem(CA_KEY),
    "db.crt": certificate(KEY, CA_KEY),
    "db.key": pem(KEY),
}


@pytest.fixture
def store(tmp_path):
    def read(wanted=WANTED, **changed):
        for name, text in {**GOOD, **{key.replace("_", "."): text for key, text in changed.items()}}.items():
            (tmp_path / name).write_text(text)
        return read_store(tmp_path, wanted, 30, 400)

    return read


def test_nothing_is_due_when_all_is_well(store):
    found = store()
    assert (found["due"], found["refused"]) == ([], [])
    assert found["certificate"] == GOOD["ca.crt"].strip()
    assert found["pairs"]["db"] == {"certificate": GOOD["db.crt"].strip(), "key": GOOD["db.key"].strip()}


def test_an_empty_directory_has_everything_due_and_nothing_to_refuse(tmp_path):
    found = read_store(tmp_path / "absent", WANTED, 30, 400)
    assert found["due"] == ["authority: the certificate is missing", "db: the certificate is missing"]
    assert found["refused"] == []
    assert found["pairs"]["db"] == {"certificate": "", "key": ""}


@pytest.mark.parametrize("key", ["", pem(KEY)])
def test_a_valid_authority_is_not_replaced_for_want_of_its_key(store, key):
    found = store(ca_key=key)
    assert "put the authority's key back" in found["refused"][0]


def test_an_authority_is_renewed_in_time_and_what_it_signed_stays(store):
    found = store(ca_crt=certificate(CA_KEY, CA_KEY, "ca", 399))
    assert "expires within 400 days" in found["authority"][0]
    assert (found["outdated"], found["refused"]) == ({}, [])


@pytest.mark.parametrize(
    ("wanted", "text"),
    [
        ({"addresses": ["10.0.0.2"]}, "the certificate is for 10.0.0.1, not for 10.0.0.2"),
        ({"names": ["web"]}, "the certificate is for db, not for web"),
        ({"usages": ["serverAuth", "clientAuth"]}, "the certificate is not for clientAuth"),
    ],
)
def test_a_certificate_that_lacks_something_is_outdated(store, wanted, text):
    assert store([{**WANTED[0], **wanted}])["outdated"] == {"db": [text]}


def test_a_certificate_that_is_valid_for_long_is_made_anew(store):
    # What was made before there was a limit; from a day ago on.
    found = store(db_crt=certificate(KEY, CA_KEY, days=396))
    assert found["outdated"] == {"db": ["the certificate is valid for 397 days, longer than 366"]}
    assert store(db_crt=certificate(KEY, CA_KEY, days=365))["due"] == []


def test_a_certificate_of_another_authority_is_outdated(store):
    other = ec.generate_private_key(ec.SECP256R1())
    found = store(ca_crt=certificate(other, other, "ca", 3650), ca_key=pem(other))
    assert found["outdated"]["db"] == ["the certificate was not signed by this authority"]


def test_addresses_of_the_sixth_version_are_compared_as_numbers():
    assert "not for ::1" in certificate_problems(GOOD["db.crt"], GOOD["db.key"], addresses=["::1"])[0]


def test_what_is_trusted_stays_the_same_when_the_next_authority_signs(store, tmp_path):
    new = certificate(KEY, KEY, "ca", 3650)
    begun = store(**{"ca-next_crt": new})
    assert begun["certificate"] == GOOD["ca.crt"].strip()
    assert begun["trusted"] != begun["certificate"]
    (tmp_path / "ca-next.crt").unlink()
    signing = store(**{"ca_crt": new, "ca_key": pem(KEY), "ca-previous_crt": GOOD["ca.crt"]})
    assert signing["certificate"] == new.strip()
    assert signing["trusted"] == begun["trusted"]
