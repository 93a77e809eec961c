# MIT License (see LICENSE)
"""Names of hosts that the application answers to."""

from __future__ import annotations

import typing as t

from ansible_collections.broadcast.stack.plugins.plugin_utils.preflight.problems import Problem, in_both, shown
from ansible_collections.broadcast.stack.plugins.plugin_utils.services.values import server_name_fault


def domain_problems(backend_domains: t.Sequence[str]) -> list[Problem]:
    if not backend_domains:
        return [Problem("backend_domains", "empty", "name the hosts the application answers to", "[]")]
    return host_name_problems("backend_domains", backend_domains)


def redirect_problems(backend_redirect_domains: t.Sequence[str], backend_domains: t.Sequence[str]) -> list[Problem]:
    variable = "backend_redirect_domains"
    return host_name_problems(variable, backend_redirect_domains) + in_both(
        variable,
        backend_redirect_domains,
        backend_domains,
        "is one of backend_domains as well",
        "list it in one of them",
    )


def host_name_problems(variable: str, names: t.Sequence[str]) -> list[Problem]:
    problems = [Problem(variable, *fault, shown(name)) for name in names if (fault := server_name_fault(name))]
    for name in sorted({name for name in names if names.count(name) > 1}):
        problems.append(Problem(variable, "is listed twice", "list it once", shown(name)))
    return problems
