# MIT License (see LICENSE)
"""Containers on hosts that left the groups whose roles ran them: pure functions of observations."""

from __future__ import annotations

from ansible_collections.broadcast.stack.plugins.plugin_utils.services import register

# For each role the groups whose hosts run it. These roles keep nothing on a host that the stack could not do without.
GROUPS = {one.role: one.groups for one in register.SERVICES if one.groups and not one.holds_data}
# Only people remove containers that hold the stack's data.
DATA = {one.role: one.groups for one in register.SERVICES if one.holds_data}


def left(host, groups, observation, stack, roles):
    """Role to the names of the stack's containers on a host that is in none of the role's groups; also stopped ones.

    groups: group to hosts. observation: result of stack_info. roles: GROUPS or DATA.
    """
    found = {}
    for name, container in sorted((observation.get("containers") or {}).items()):
        role = container["role"]
        has_role = any(host in groups.get(group, []) for group in roles.get(role, []))
        if container["stack"] == stack and role in roles and not has_role:
            found.setdefault(role, []).append(name)
    return found


def plans(host, groups, observation, stack):
    """Role to a plan, as role_plan returns it, that removes what the host runs without being in a group of it."""
    return {
        role: {
            "due": True,
            "steps": [],
            "changes": [
                {
                    "name": name,
                    "action": "remove",
                    "stateful": False,
                    "reasons": ["the host is not in group %s any more" % " or ".join(GROUPS[role])],
                }
                for name in names
            ],
            "release": [],
        }
        for role, names in left(host, groups, observation, stack, GROUPS).items()
    }


def warnings(host, groups, observation, stack):
    """What stays on a host since data is with it, and what to do about it."""
    return [
        "%s: %s: the host is not in group %s any more, but the data is there: put it back into the group, or move the "
        "data as docs/backup-and-restore.md shows and take the host out with playbooks/remove_host.yml"
        % (host, ", ".join(names), role)
        for role, names in left(host, groups, observation, stack, DATA).items()
    ]


def removed(roles):
    """Host to the containers that the plans remove there, but for those of roles whose data is on their host.

    roles: role to host to plan, as role_plan returns them.
    """
    found = {}
    for role in GROUPS:
        for host, plan in roles.get(role, {}).items():
            names = [change["name"] for change in plan["changes"] if change["action"] == "remove"]
            if names:
                found.setdefault(host, []).extend(names)
    return found
