# MIT License (see LICENSE)
"""Authorities that the controller keeps, beside those that the stack's hosts know: may it converge them?

Pure functions of what was observed. A change is safe in any order, and while it is half done, when everything that runs
trusts the authority that signs here, and everything that is shown was signed by one that is trusted here.
"""

from __future__ import annotations

import dataclasses
import typing as t
from pathlib import Path

from ansible_collections.broadcast.stack.plugins.filter.certificate_problems import (
    certificate_problems,
    read_chain,
    signed_by,
    spki,
)
from cryptography import x509
from cryptography.hazmat.primitives import hashes

# Names of files in an authority's folder: the authority that signs, the next one, and the previous one.
SIGNING, NEXT, PREVIOUS = "ca", "ca-next", "ca-previous"
# Days before its expiry from which on an authority is signed anew: it must outlive every certificate that it signs.
RENEW_DAYS = 400
LOST_KEY = (
    "%s.crt is valid, but %s; put the authority's key back, or remove both files for a new authority: whoever trusts "
    "this one does not trust that one"
)
REMEDY = (
    "copy ca.crt and ca.key from the controller that made them, as docs/security.md shows; to change "
    "the authority, run playbooks/authority.yml where the old one is; when its key is lost for good, accept failing "
    "requests until all hosts have converged by -e stack_other_authority=replace"
)


def text_of(path: Path) -> str:
    return path.read_text(encoding="utf-8").strip() if path.is_file() else ""


def trusted_texts(directory: Path) -> list[str]:
    """PEM of the authorities that are trusted, the one that signs first."""
    return [text for name in (SIGNING, NEXT, PREVIOUS) if (text := text_of(directory / (name + ".crt")))]


def lost_key(directory: Path) -> list[str]:
    """What only a person can repair: an authority that is valid, and a key that is not its own."""
    base = directory / SIGNING
    problems = certificate_problems(*(text_of(base.with_suffix(end)) for end in (".crt", ".key")), days=RENEW_DAYS)
    about_key = [text for text in problems if "private key" in text]
    return [LOST_KEY % (base, text) for text in about_key if not set(problems) - set(about_key)]


def common_name(name: x509.Name) -> str:
    found = name.get_attributes_for_oid(x509.NameOID.COMMON_NAME)
    return str(found[0].value) if found else ""


def fingerprint(certificate: x509.Certificate) -> str:
    return certificate.fingerprint(hashes.SHA256()).hex(":").upper()[:29] + "…"


@dataclasses.dataclass(frozen=True)
class Shown:
    """What a container's file shows of an authority: a certificate that it signed, or the authorities it trusts."""

    host: str
    container: str
    leaf: x509.Certificate | None
    trusted: tuple[x509.Certificate, ...] = ()

    def trusts(self, authority: x509.Certificate) -> bool:
        # A certificate that was signed again with the same key is the same authority.
        return spki(authority.public_key()) in {spki(one.public_key()) for one in self.trusted}


def shown_by(observation: t.Mapping[str, t.Any], host: str, root: str, names: t.Collection[str]) -> list[Shown]:
    """What the containers' files on a host show of authorities with these common names, of all that was rendered."""
    found = []
    for path, text in sorted((observation.get("certificates") or {}).items()):
        chain = read_chain(text)
        container = path.removeprefix(root.rstrip("/") + "/").partition("/")[0]
        authorities = tuple(one for one in chain if one.subject == one.issuer and common_name(one.subject) in names)
        if authorities:
            found.append(Shown(host, container, None, authorities))
        elif chain and common_name(chain[0].issuer) in names:
            found.append(Shown(host, container, chain[0]))
    return found


def counts(shown: Shown, observation: t.Mapping[str, t.Any]) -> bool:
    """Whether a container's files matter now: not those of kept releases, nor those that a container left behind."""
    containers = observation.get("containers") or {}
    if container := containers.get(shown.container):
        return container["status"] == "running" or not container["slot"]
    # A stack that is down still has its authority.
    return shown.leaf is not None and not any(one["stack"] for one in containers.values())


def problems(
    directory: str,
    name: str,
    roots: t.Mapping[str, str],
    observations: t.Mapping[str, t.Mapping[str, t.Any]],
    replace: bool = False,
) -> list[str]:
    """
    Why the authority in a folder of the controller must not be used for these hosts. name: the common name that a new
    one would get. roots: host to the folder of its containers' files. observations: host to result of stack_info.
    """
    if replace:
        return []
    folder = Path(directory)
    trusted = [one for text in trusted_texts(folder) for one in read_chain(text)[:1]]
    signing = trusted[0] if trusted and text_of(folder / (SIGNING + ".crt")) else None
    names = {name} | {common_name(one.subject) for one in trusted}
    shown = [
        one
        for host, observation in observations.items()
        for one in shown_by(observation, host, roots[host], names)
        if counts(one, observation)
    ]
    if not shown:
        return lost_key(folder)
    hosts = ", ".join(dict.fromkeys(one.host for one in shown))
    if not signing:
        return ["there is no authority in it, while %s know%s one" % (hosts, "s" if "," not in hosts else "")]
    ours = {one.host for one in shown if one.leaf and signed_by(one.leaf, signing)}
    showing = {one.host for one in shown if one.leaf}
    if ours and 2 * len(ours) > len(showing):
        # The authority is in use on most hosts. A host that was away learns it now.
        return lost_key(folder)
    distrusting = [
        one
        for one in shown
        if not (any(signed_by(one.leaf, authority) for authority in trusted) if one.leaf else one.trusts(signing))
    ]
    if not distrusting:
        return lost_key(folder)
    known = sorted({fingerprint(other) for one in distrusting for other in one.trusted})
    text = "its authority (SHA-256 %s) is not the one that %s know%s" % (
        fingerprint(signing),
        (told := ", ".join(dict.fromkeys(one.host for one in distrusting))),
        "s" if "," not in told else "",
    )
    return [text + (" (%s)" % ", ".join(known) if known else "")]


def kept_problems(observations: t.Mapping[str, t.Mapping[str, t.Any]], name: str, root: str, slot: str) -> list[str]:
    """Why the kept containers of a slot must not be started: what they trust is not what is shown to them any more."""
    shown = [one for host, observation in observations.items() for one in shown_by(observation, host, root, {name})]
    leaves = [one.leaf for one in shown if one.leaf and counts(one, observations[one.host])]
    problems_found = []
    for one in shown:
        container = (observations[one.host].get("containers") or {}).get(one.container) or {}
        known = all(any(signed_by(leaf, authority) for authority in one.trusted) for leaf in leaves)
        if container.get("slot") == slot and one.trusted and not known:
            problems_found.append(
                "%s on %s trusts another authority than the services show now: that was changed after its release. "
                "Release the older code anew with site.yml instead" % (one.container, one.host)
            )
    return problems_found
