# MIT License (see LICENSE)
"""Which values are secret, and whether they can be."""

from __future__ import annotations

import re
import typing as t

from ansible_collections.broadcast.stack.plugins.plugin_utils.preflight.problems import Problem
from ansible_collections.broadcast.stack.plugins.plugin_utils.preflight.trees import leaves

MINIMUM_SECRET_LENGTH = 16
MINIMUM_SECRET_CHARACTERS = 6
PLACEHOLDERS = frozenset(
    """
    admin changeit default dummy empty example foobar letmein none null password passw0rd placeholder postgres private
    qwerty redis replace root secret secretkey superuser test testing todo unset xxx yourpassword yoursecret
    """.split()  # noqa: SIM905 - a list of words, not of syntax
)
PLACEHOLDER_PARTS = (
    "changeme",
    "djangoinsecure",
    "placeholder",
    "replaceme",
    "replacethis",
    "yourpassword",
    "yoursecret",
)
# This does not depend on how strong a secret is, so it holds in every environment.
UNUSABLE = ("is empty", "is vault text that was not decrypted")
SECRET_NAME = re.compile("(PASSWORD|PASSWD|SECRET|SECRET_KEY|TOKEN|API_KEY|PRIVATE_KEY|ACCESS_KEY|DSN)$", re.I)


def secret_remedy(environment: str) -> str:
    if environment == "dev":
        return "dev generates it in inventories/dev/group_vars/all/20_secrets.yml: restore that file"
    return "`make secrets ENV=%s` creates a strong one" % (environment or "<environment>")


def secret_leaves(value: t.Any, option: t.Mapping[str, t.Any], name: str) -> t.Iterator[tuple[str, str]]:
    """Text leaves that are secret: below no_log, or nested options that are."""
    if option.get("no_log"):
        yield from leaves(value, name)
    elif option.get("options"):
        for item in value if isinstance(value, (list, tuple)) else [value]:
            for key, nested in option["options"].items():
                if isinstance(item, t.Mapping) and key in item:
                    yield from secret_leaves(item[key], nested, "%s.%s" % (name, key))
    else:
        # A dictionary of free names has no nested options. Its passwords are known by their keys.
        for path, text in leaves(value, name):
            if SECRET_NAME.search(path):
                yield path, text


def is_secret(name: str, option: t.Mapping[str, t.Any]) -> bool:
    return bool(option.get("no_log")) or name.startswith("secret_")


def placeholder(name: str, value: str) -> str:
    """Why a value cannot be a secret whatever its length; nothing when it can."""
    plain = re.sub(r"[^a-z0-9]", "", value.lower())
    own = re.sub(r"[^a-z0-9]", "", name.lower())
    if not value.strip():
        return UNUSABLE[0]
    if value.lstrip().startswith("$ANSIBLE_VAULT;"):
        return UNUSABLE[1]
    # The text of a whole file may hold such a word.
    if "\n" in value.strip():
        return ""
    if plain in PLACEHOLDERS or any(part in plain for part in PLACEHOLDER_PARTS) or re.fullmatch("<.*>|x+", value):
        return "is a placeholder"
    if plain in (own, own.removeprefix("secret")):
        return "is its own name"
    return ""


def weakness(name: str, value: str) -> str:
    if reason := placeholder(name, value):
        return reason
    if len(value) < MINIMUM_SECRET_LENGTH:
        return "is shorter than %d characters" % MINIMUM_SECRET_LENGTH
    if len(set(value)) < MINIMUM_SECRET_CHARACTERS:
        return "repeats few characters"
    return ""


def secret_problems(secrets: t.Mapping[str, str], extra: t.Mapping[str, str], environment: str) -> list[Problem]:
    """
    Judge secrets: ours must be strong and all different; those of the application (extra), whose shape their provider
    decides, must only be no placeholders. Dev may use whatever is not empty.
    """
    problems = []
    for judged, judge in ((secrets, weakness), (extra, placeholder)):
        for name, value in judged.items():
            reason = judge(name, value)
            if not reason or (environment == "dev" and reason not in UNUSABLE):
                continue
            remedy = secret_remedy(environment) if name.startswith("secret_") else "give a real one"
            if "vault" in reason:
                remedy = "tag it `!vault |` or encrypt the whole file"
            elif name.startswith("secret_") and environment != "dev":
                remedy = "remove the line and run `make secrets ENV=%s`" % (environment or "<environment>")
            problems.append(Problem(name, reason, remedy))
    if environment != "dev":
        for value in set(secrets.values()):
            same = sorted(name for name, other in secrets.items() if other == value)
            if len(same) > 1 and value.strip():
                text = "has the same value as %s" % ", ".join(same[:-1])
                problems.append(Problem(same[-1], text, "give each secret a value of its own"))
    return problems
