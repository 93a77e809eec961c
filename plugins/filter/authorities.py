# MIT License (see LICENSE)
"""Whether the controller's authorities are those that the hosts know, for playbooks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ansible_collections.broadcast.stack.plugins.plugin_utils import authorities


def authority_problems(
    observations: Mapping[str, Mapping],
    kept: Mapping[str, Sequence[Mapping]],
    roots: Mapping[str, str],
    replace: bool = False,
) -> list[str]:
    """
    Sentences that begin with the variable of the authority's folder and end with the remedy. observations: host to
    result of stack_info. kept: host to the authorities whose certificates it shows, {variable, directory, name}.
    """
    hosts: dict[tuple[str, str, str], list[str]] = {}
    for host, found in kept.items():
        for one in found:
            hosts.setdefault((one["variable"], one["directory"], one["name"]), []).append(host)
    return [
        f"{variable} = {directory}: {text}; {authorities.REMEDY}"
        for (variable, directory, name), names in hosts.items()
        for text in authorities.problems(
            directory, name, roots, {one: observations[one] for one in names if one in observations}, replace
        )
    ]


class FilterModule:
    """Filters over observations of all hosts."""

    def filters(self) -> dict[str, object]:
        return {"authority_kept_problems": authorities.kept_problems, "authority_problems": authority_problems}
