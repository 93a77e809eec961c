# MIT License (see LICENSE)
"""A private authority and its certificates, as they lie on the controller, and what is wrong with them."""

from __future__ import annotations

DOCUMENTATION = r"""
name: certificates
author: The broadcast.stack authors
short_description: Read a private authority and its certificates
description:
  - Reads what the role C(certificates) keeps in a directory of the controller, and tells why something in it has to be
    made anew. Nothing is changed.
options:
  _terms:
    description: The directory.
    required: true
  wanted:
    description: Certificates, each C(name) (of its files), C(names), C(addresses) and C(usages).
    type: list
    elements: dict
    default: []
  renew_days:
    description: Days before its expiry from which on a certificate is made anew.
    type: int
    default: 30
  authority_renew_days:
    description: The same for the authority, which must outlive every certificate that it signs.
    type: int
    default: 400
"""

EXAMPLES = r"""
- name: Show what has to be made
  ansible.builtin.debug:
    msg: "{{ lookup('broadcast.stack.certificates', '.pki', wanted=[{'name': 'shop', 'names': ['shop.test']}]).due }}"
"""

RETURN = r"""
_raw:
  description:
    - The authority's C(certificate), PEM or empty; C(trusted), the same with the authority that follows it (C(ca-next))
      or went before it (C(ca-previous)) while it is changed; and C(pairs), the C(certificate) and C(key) of each name.
    - C(authority) and C(outdated), why the authority and which certificates have to be made anew; C(due), both as
      sentences; and C(refused), what only a person can repair.
  type: list
  elements: dict
"""

from pathlib import Path

from ansible.plugins.lookup import LookupBase
from ansible_collections.broadcast.stack.plugins.filter.certificate_problems import certificate_problems
from ansible_collections.broadcast.stack.plugins.plugin_utils.authorities import (
    SIGNING,
    lost_key,
    text_of,
    trusted_texts,
)

# A stolen key is of use no longer than this.
LONGEST_DAYS = 366


def read_store(directory: Path, wanted: list[dict], renew_days: int, authority_renew_days: int) -> dict:
    """See RETURN. A renewed authority keeps its key: what it signed and what trusts it stay as they are."""
    base = directory / SIGNING
    authority, authority_key = (text_of(base.with_suffix(end)) for end in (".crt", ".key"))
    problems = certificate_problems(authority, authority_key, days=authority_renew_days)
    pairs, outdated = {}, {}
    for item in wanted:
        pair = {
            kind: text_of(directory / (item["name"] + end)) for kind, end in (("certificate", ".crt"), ("key", ".key"))
        }
        found = certificate_problems(
            pair["certificate"],
            pair["key"],
            item.get("names") or [],
            # An authority that is missing has signed nothing.
            authority or "none",
            renew_days,
            addresses=item.get("addresses") or [],
            usages=item.get("usages") or [],
            lifetime=LONGEST_DAYS,
        )
        pairs[item["name"]] = pair
        if found:
            outdated[item["name"]] = found
    sentences = ["authority: %s" % text for text in problems]
    sentences += ["%s: %s" % (name, text) for name, found in outdated.items() for text in found]
    return {
        "certificate": authority,
        # The order stays the same when the next authority becomes the one that signs.
        "trusted": "\n".join(sorted(trusted_texts(directory))),
        "pairs": pairs,
        "authority": problems,
        "outdated": outdated,
        "due": sentences,
        "refused": lost_key(directory),
    }


class LookupModule(LookupBase):
    """Reads files of the controller."""

    def run(self, terms: list, variables: dict | None = None, **kwargs: object) -> list:
        self.set_options(var_options=variables, direct=kwargs)
        options = [self.get_option(name) for name in ("wanted", "renew_days", "authority_renew_days")]
        return [read_store(Path(str(term)), *options) for term in terms]
