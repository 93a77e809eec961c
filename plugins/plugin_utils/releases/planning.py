# MIT License (see LICENSE)
"""Plans of roles on hosts, and what people read of them."""

from __future__ import annotations

from ansible_collections.broadcast.stack.plugins.plugin_utils.services import register


def planned(variables, host):
    """Role to what it would do on a host; variables: raw ones of any host, in which role_plan was registered."""
    return {role: hosts[host] for role, hosts in _registered(variables, "roles").items() if host in hosts}


def plan_errors(variables, host):
    """Why roles could not be planned for a host."""
    return _registered(variables, "errors").get(host, [])


def _registered(variables, part):
    result = variables.get("stack_role_plans")
    return (result.get(part) or {}) if isinstance(result, dict) else {}


def due_roles(roles):
    """Roles that have something to do on any host; roles: role to host to plan, as role_plan returns them."""
    due = [role for role, hosts in roles.items() if any(plan["due"] for plan in hosts.values())]
    return list(roles) if set(due) & set(register.roles("foundation")) else due


def summary(plans):
    """The lines of a plan. plans: host to role to {steps, changes, release} as role_plan returns them."""
    lines = []
    for host, roles in plans.items():
        for role, plan in roles.items():
            lines += ["%s: %s: %s" % (host, role, step) for step in plan["steps"]]
            for change in plan["changes"]:
                # Nobody notices a reload.
                held = change["stateful"] and change["action"] not in ("create", "reload")
                flag = " (holds data, which stays; it is away for some seconds)" if held else ""
                text = "%s %s%s: %s" % (change["action"], change["name"], flag, "; ".join(change["reasons"]))
                lines.append("%s: %s: %s" % (host, role, text))
    return lines


def recorded(decision):
    """The line of a plan about hosts that learn which release is live."""
    if not decision.get("unrecorded"):
        return []
    number = decision["previous"]["number"]
    return ["%s: release: record that release %d is live" % (", ".join(decision["unrecorded"]), number)]


def headline(decision):
    """The first lines of a plan with a release: what becomes live where, and why."""
    target, live = decision.get("target"), decision["previous"]
    what = "Rollback to release %d" % target["origin"] if target else "Release %d" % decision["number"]
    lines = ["%s in slot %s%s" % (what, decision["slot"], ", instead of %s" % live["slot"] if live else "")]
    return lines + ["  %s: %s" % (host, text) for host, texts in decision["reasons"].items() for text in texts]
