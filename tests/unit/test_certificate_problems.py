"""What certificate_problems says about pairs that nginx could not, or should not, serve."""

from __future__ import annotations

import datetime

import pytest
from ansible_collections.broadcast.stack.plugins.filter.certificate_problems import (
    certificate_problems,
    covers,
    lacks_chain,
)
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
)

NOW = datetime.datetime(2026, 11, 23, tzinfo=datetime.UTC)
DAY = datetime.timedelta(days=1)


def new_key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


def pem_key(key: ec.EllipticCurvePrivateKey, passphrase: bytes = b"") -> str:
    protection = BestAvailableEncryption(passphrase) if passphrase else NoEncryption()
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, protection).decode()


def certificate(subject, key, issuer, issuer_key, names=(), start=NOW - DAY, end=NOW + 90 * DAY) -> str:
    def name(text: str) -> x509.Name:
        return x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, text)])

    builder = (
        x509.CertificateBuilder()
        .subject_name(name(subject))
        .issuer_name(name(issuer))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(end)
    )
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName(n) for n in names]), critical=False)
    return builder.sign(issuer_key, hashes.SHA256()).public_bytes(Encoding.PEM).decode()


CA_KEY, KEY = new_key(), new_key()
CA = certificate("ca", CA_KEY, "ca", CA_KEY, end=NOW + 3650 * DAY)
LEAF = certificate("app", KEY, "ca", CA_KEY, names=["app.example.org", "*.shop.example.org"])


def problems(leaf: str = LEAF, key: str = pem_key(KEY), **options: object) -> list[str]:
    return certificate_problems(leaf, key, now=NOW, **options)


def test_a_good_pair_has_no_problem():
    assert problems(names=["app.example.org", "eu.shop.example.org"], issuer=CA, days=30) == []
    assert problems(LEAF + CA, names=["app.example.org"]) == []


@pytest.mark.parametrize(
    ("leaf", "key", "message"),
    [
        ("", "", "the certificate is missing"),
        ("nonsense", pem_key(KEY), "the certificate is not PEM"),
        (LEAF, "", "the private key is missing"),
        (LEAF, "nonsense", "the private key is not PEM"),
        (LEAF, pem_key(new_key()), "the private key does not belong to the certificate"),
        (LEAF, pem_key(KEY, b"phrase"), "protected by a passphrase"),
    ],
)
def test_an_unusable_pair_is_named(leaf, key, message):
    found = problems(leaf, key)
    assert len(found) == 1
    assert message in found[0]


def test_an_expired_an_early_and_an_expiring_certificate_are_told_apart():
    def of(start: int, end: int, days: int = 0) -> str:
        made = certificate("app", KEY, "ca", CA_KEY, start=NOW + start * DAY, end=NOW + end * DAY)
        return "; ".join(problems(made, days=days))

    assert of(-9, -1) == "the certificate expired on 2026-11-22 00:00 UTC"
    assert of(1, 9) == "the certificate is valid only from 2026-11-24 00:00 UTC"
    assert of(-1, 9) == ""
    assert of(-1, 9, days=30) == "the certificate expires within 30 days, on 2026-12-02 00:00 UTC"


def test_names_that_are_not_covered_are_listed():
    assert problems(names=["app.example.org", "other.example.org"]) == [
        "the certificate is for app.example.org, *.shop.example.org, not for other.example.org"
    ]
    nameless = certificate("app", KEY, "ca", CA_KEY)
    assert problems(nameless, names=["a.example"]) == ["the certificate is for no host name, not for a.example"]


@pytest.mark.parametrize(
    ("pattern", "name", "expected"),
    [
        ("a.example", "A.example", True),
        ("*.example", "a.example", True),
        ("*.example", "a.b.example", False),
        ("*.example", "example", False),
        ("*.example", "*.example", True),
    ],
)
def test_a_wildcard_stands_for_one_label(pattern, name, expected):
    assert covers(pattern, name) is expected


def test_a_certificate_of_another_authority_is_refused():
    other = new_key()
    assert problems(issuer=certificate("ca", other, "ca", other)) == [
        "the certificate was not signed by this authority"
    ]


def test_a_chain_out_of_order_is_refused():
    between_key = new_key()
    between = certificate("between", between_key, "ca", CA_KEY)
    leaf = certificate("app", KEY, "between", between_key)
    assert problems(leaf + between + CA) == []
    assert "out of order" in problems(leaf + CA + between)[0]


def test_a_leaf_alone_lacks_its_chain_unless_nobody_else_has_signed_it():
    assert lacks_chain(LEAF)
    assert not lacks_chain(LEAF + CA)
    assert not lacks_chain(CA)
    assert not lacks_chain("nonsense")


@pytest.mark.parametrize(
    ("leaf", "key", "what"),
    [
        (LEAF.strip() + CA, pem_key(KEY), "the certificate"),
        (LEAF.strip() + " " + CA, pem_key(KEY), "the certificate"),
        ("CERTIFICATE: " + LEAF, pem_key(KEY), "the certificate"),
        (LEAF, pem_key(KEY).strip() + LEAF, "the private key"),
    ],
)
def test_blocks_that_begin_in_the_middle_of_a_line_are_told(leaf, key, what):
    assert problems(leaf, key) == [
        f"{what} has a block that begins in the middle of a line; put a line break after each -----END ...-----"
    ]


def test_line_ends_and_comments_around_blocks_are_nobodys_business():
    assert problems((LEAF + "\n# the authority\n" + CA).replace("\n", "\r\n"), pem_key(KEY).strip()) == []


def test_nothing_of_the_key_is_in_the_result():
    body = pem_key(new_key()).splitlines()[1]
    assert body not in " ".join(problems(key=f"-----BEGIN PRIVATE KEY-----\n{body}\n-----END PRIVATE KEY-----\n"))
