# MIT License (see LICENSE)
"""Say what is wrong with a certificate and its key, in words that name the remedy."""

from __future__ import annotations

import datetime
import ipaddress
import re
from collections.abc import Iterator, Sequence
from itertools import pairwise

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key

DOCUMENTATION = r"""
name: certificate_problems
short_description: What is wrong with a certificate and its private key
description:
  - Reads PEM texts and returns one sentence per problem; an empty list means that the pair can be served.
  - Nothing of the private key is in the result.
positional: _input, key, names
options:
  _input:
    description: The certificate, followed by its chain, PEM.
    type: str
    required: true
  key:
    description: The private key, PEM without passphrase.
    type: str
    required: true
  names:
    description: Host names that the certificate has to cover.
    type: list
    elements: str
    default: []
  addresses:
    description: IP addresses that the certificate has to cover.
    type: list
    elements: str
    default: []
  usages:
    description: Extended usages that it has to allow, such as V(serverAuth).
    type: list
    elements: str
    default: []
  issuer:
    description: Certificate of the authority that must have signed it, PEM; empty for any.
    type: str
    default: ""
  days:
    description: Days from now on which it must still be valid.
    type: int
    default: 0
  lifetime:
    description: Days that it may be valid for; 0 for any.
    type: int
    default: 0
author: The broadcast.stack authors
"""

EXAMPLES = r"""
- name: Refuse a pair that nginx could not serve
  ansible.builtin.assert:
    that: shop_certificate | broadcast.stack.certificate_problems(shop_key, ['shop.example.org']) | length == 0
"""

RETURN = r"""
_value:
  description: One sentence per problem.
  type: list
  elements: str
"""


def covers(pattern: str, name: str) -> bool:
    """Whether a name of a certificate stands for a host name; a wildcard stands for exactly one label (RFC 6125)."""
    pattern, name = pattern.lower(), name.lower()
    if pattern.startswith("*."):
        return name == pattern or name.partition(".")[2] == pattern[2:]
    return pattern == name


def read_chain(text: str) -> list[x509.Certificate]:
    try:
        return x509.load_pem_x509_certificates(text.encode())
    except ValueError:
        return []


def block_problems(what: str, text: str) -> Iterator[str]:
    """Texts that were put together without a line break, of which nginx reads nothing and others the first part."""
    if re.search(r"-----END [A-Z0-9 ]+-----[^\S\n]*[^\s]", text) or re.search(r"[^\s-][^\S\n]*-----BEGIN ", text):
        yield f"{what} has a block that begins in the middle of a line; put a line break after each -----END ...-----"


def lacks_chain(text: str) -> bool:
    """Whether it is a certificate alone that another one has signed, as clients of a public authority cannot verify."""
    chain = read_chain(text)
    return len(chain) == 1 and chain[0].issuer != chain[0].subject


def alternative_names(certificate: x509.Certificate, kind: type[x509.GeneralName]) -> list:
    try:
        extension = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    except x509.ExtensionNotFound:
        return []
    return extension.value.get_values_for_type(kind)


def extended_usages(certificate: x509.Certificate) -> list[str]:
    """Names of the extended usages, such as serverAuth."""
    try:
        extension = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage)
    except x509.ExtensionNotFound:
        return []
    # The name of an object identifier is public in its text only.
    return [re.sub(r".*name=(\w+).*", r"\1", str(usage)) for usage in extension.value]


def spki(key: object) -> bytes:
    return key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def signed_by(certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(issuer)
    except (InvalidSignature, TypeError, ValueError):
        return False
    return True


def key_problems(leaf: x509.Certificate, text: str) -> Iterator[str]:
    try:
        key: PrivateKeyTypes = load_pem_private_key(text.encode(), password=None)
    except TypeError:
        yield "the private key is protected by a passphrase; remove it, since nobody can type it in when nginx starts"
    except ValueError:
        yield "the private key is not PEM" if text.strip() else "the private key is missing"
    else:
        if spki(key.public_key()) != spki(leaf.public_key()):
            yield "the private key does not belong to the certificate"


def time_problems(leaf: x509.Certificate, days: int, lifetime: int, now: datetime.datetime) -> Iterator[str]:
    if leaf.not_valid_before_utc > now:
        yield f"the certificate is valid only from {leaf.not_valid_before_utc:%Y-%m-%d %H:%M} UTC"
    if leaf.not_valid_after_utc <= now:
        yield f"the certificate expired on {leaf.not_valid_after_utc:%Y-%m-%d %H:%M} UTC"
    elif leaf.not_valid_after_utc <= now + datetime.timedelta(days=days):
        yield f"the certificate expires within {days} days, on {leaf.not_valid_after_utc:%Y-%m-%d %H:%M} UTC"
    valid = leaf.not_valid_after_utc - leaf.not_valid_before_utc
    if lifetime and valid > datetime.timedelta(days=lifetime):
        yield f"the certificate is valid for {valid.days} days, longer than {lifetime}"


def chain_problems(chain: Sequence[x509.Certificate], issuer_text: str) -> Iterator[str]:
    for below, above in pairwise(chain):
        if below.issuer != above.subject:
            yield "the chain is out of order: the server's certificate first, each followed by its issuer"
            break
    if issuer_text:
        issuer = read_chain(issuer_text)
        if not issuer or not signed_by(chain[0], issuer[0]):
            yield "the certificate was not signed by this authority"


def identity_problems(leaf: x509.Certificate, names: Sequence[str], addresses: Sequence[str]) -> Iterator[str]:
    present = alternative_names(leaf, x509.DNSName)
    if missing := [name for name in names if not any(covers(pattern, name) for pattern in present)]:
        yield f"the certificate is for {', '.join(present) or 'no host name'}, not for {', '.join(missing)}"
    present = alternative_names(leaf, x509.IPAddress)
    if missing := [text for text in addresses if ipaddress.ip_address(text) not in present]:
        listed = ", ".join(map(str, present)) or "no address"
        yield f"the certificate is for {listed}, not for {', '.join(missing)}"


def certificate_problems(
    certificate: str,
    key: str,
    names: Sequence[str] = (),
    issuer: str = "",
    days: int = 0,
    now: datetime.datetime | None = None,
    addresses: Sequence[str] = (),
    usages: Sequence[str] = (),
    lifetime: int = 0,
) -> list[str]:
    """One sentence per reason why the pair cannot be served under the names; now is for tests."""
    joined = [*block_problems("the certificate", certificate), *block_problems("the private key", key)]
    if joined:
        return joined
    chain = read_chain(certificate)
    if not chain:
        return ["the certificate is not PEM" if certificate.strip() else "the certificate is missing"]
    leaf = chain[0]
    found = list(key_problems(leaf, key))
    found += time_problems(leaf, days, lifetime, now or datetime.datetime.now(datetime.UTC))
    found += identity_problems(leaf, names, addresses)
    if usages and (missing := sorted(set(usages) - set(extended_usages(leaf)))):
        found.append(f"the certificate is not for {', '.join(missing)}")
    found += chain_problems(chain, issuer)
    return found


class FilterModule:
    """Checks of certificates on the controller."""

    def filters(self) -> dict[str, object]:
        return {"certificate_problems": certificate_problems}
