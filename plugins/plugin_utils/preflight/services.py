# MIT License (see LICENSE)
"""What the application's templates ask of the stack's services."""

from __future__ import annotations

import re
import typing as t

from ansible_collections.broadcast.stack.plugins.plugin_utils.preflight.problems import Problem
from ansible_collections.broadcast.stack.plugins.plugin_utils.preflight.trees import leaves
from ansible_collections.broadcast.stack.plugins.plugin_utils.services import register
from ansible_collections.broadcast.stack.plugins.plugin_utils.template_reads import ANY, MARK, Reads
from ansible_collections.broadcast.stack.plugins.plugin_utils.templates import closure

# Variables of the application whose templates may ask for what the stack serves.
REFERRING = (
    "backend_default_secrets",
    "backend_default_env",
    "backend_env",
    "backend_secrets",
    "backend_secret_env",
    "backend_files",
    "backend_secret_files",
    "backend_release_env",
    "backend_release_secrets",
    "backend_release_secret_env",
)


def service_problems(
    groups: t.Mapping[str, t.Sequence[str]], raw: t.Mapping[str, t.Any], uses: t.Collection[str]
) -> list[Problem]:
    """Services that the application's variables ask for, while the inventory has no host for them."""
    problems = []
    for group, variable in [(group, service.gives) for group, service in register.GROUPS.items() if service.gives]:
        if groups.get(group) or (variable == "stack_redis" and not uses):
            continue
        for name in [name for name in REFERRING if name in raw and variable in closure(name, raw)][:1]:
            text = "has no host, but %s refers to %s" % (name, variable)
            remedy = "add one to the inventory's hosts.yml, or set %s to what the application needs instead" % name
            problems.append(Problem("group %s" % group, text, remedy))
    return problems


def reads_of(raw: t.Mapping[str, t.Any]) -> Reads:
    return Reads(raw, ("stack_redis", "stack_database", "stack_database_owner"))


def redis_reference_problems(raw: t.Mapping[str, t.Any], uses: t.Collection[str]) -> list[Problem]:
    """Templates that ask for a use of Redis that nobody declared."""
    problems, reads = [], reads_of(raw)
    for name in REFERRING:
        for path, text in leaves(raw.get(name), name):
            asked = {str(one[1]) for one in reads(text) if one[0] == "stack_redis" and len(one) > 1}
            for use in sorted(asked - {ANY} - set(uses)):
                wrong = "refers to stack_redis.%s, but backend_redis_uses does not have it" % use
                problems.append(Problem(path, wrong, "add it there, or take it out of %s" % name))
    return problems


PLAIN_REDIS = re.compile(r"\bredis://[^\s\0]*(?:\0\d+\0[^\s\0]*)+")
# Modes of libpq in which it does not look whose server it speaks to.
UNVERIFIED = re.compile(r"(?i)sslmode\W{1,5}(disable|allow|prefer|require)\b")


def plain_redis_problems(raw: t.Mapping[str, t.Any]) -> list[Problem]:
    """Templates by which an application would speak plain, or to anybody, in a fleet: its ports speak TLS."""
    problems: list[Problem] = []
    reads = reads_of(raw)
    asked: dict[str, set[tuple[t.Any, ...]]] = {}
    for path, text in [(path, text) for name in REFERRING for path, text in leaves(raw.get(name), name)]:
        written, values = reads.texts(text)
        asked[path] = {one for one in reads(text) if one[0] == "stack_redis"}
        urls = "".join(PLAIN_REDIS.findall(written))
        if any(one[0] == "stack_redis" for mark in MARK.findall(urls) for one in values[int(mark)]):
            remedy = "write {{ stack_redis.<use>.url }}, or rediss:// with the authority of stack_redis.<use>.ca"
            problems.append(Problem(path, "speaks plain to a port of TLS: redis:// in a fleet", remedy))
        # The mode may be an entry of its own, or a part of the text that names the database.
        mode = UNVERIFIED.fullmatch("%s=%s" % (path[-len("sslmode") :], text))
        if not mode and any(one[0] != "stack_redis" for one in reads(text)):
            mode = UNVERIFIED.search(written)
        if mode:
            wrong = "takes the database for whoever answers: sslmode %s in a fleet" % mode[1]
            remedy = "write {{ stack_database.sslmode }}, or leave it out: PGSSLMODE is set"
            problems.append(Problem(path, wrong, remedy, warning=True))
    told = [one for paths in asked.values() for one in paths if len(one) == 1 or tells_of_tls(one)]
    named: dict[str, str] = {}
    for path, paths in asked.items():
        for one in paths:
            if one[2:3] == ("host",):
                named.setdefault(str(one[1]), path)
    for use, path in named.items():
        if not any(len(one) == 1 or one[1] in (use, ANY) for one in told):
            shown_use = "<use>" if use == ANY else use
            text = "names the host of stack_redis.%s, and nothing its tls: in a fleet the port speaks TLS" % shown_use
            remedy = "give the application stack_redis.%s.tls and .ca as well" % shown_use
            problems.append(Problem(path, text, remedy, warning=True))
    return problems


def tells_of_tls(path: tuple[t.Any, ...]) -> bool:
    """Whether what a template asks for holds that the port speaks TLS, as the whole of a use does."""
    if len(path) > 2:
        return path[2] in ("tls", "ca", "url", ANY)
    return path[1] != ANY
