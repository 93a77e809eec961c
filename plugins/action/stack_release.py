# MIT License (see LICENSE)
"""Decides on the controller what becomes of the application; documented in plugins/modules/stack_release.py."""

from __future__ import annotations

import datetime
import getpass
import socket

from ansible.plugins.action import ActionBase
from ansible_collections.broadcast.stack.plugins.plugin_utils.releases import history, next_release, planning


class ActionModule(ActionBase):
    """Reads the observations of all hosts and returns a decision; executes no module."""

    _requires_connection = False
    _supports_check_mode = True
    _VALID_ARGS = frozenset({"state", "slots", "stack", "hosts", "web_hosts", "release_hosts", "plans", "target"})

    def run(self, tmp=None, task_vars=None):
        super().run(tmp, task_vars)
        _result, arguments = self.validate_argument_spec(
            argument_spec={
                "state": {"type": "str", "choices": ["live", "release", "rollback"], "required": True},
                "slots": {"type": "list", "elements": "str", "default": []},
                "stack": {"type": "str", "required": True},
                "hosts": {"type": "list", "elements": "str", "required": True},
                "web_hosts": {"type": "list", "elements": "str", "default": []},
                "release_hosts": {"type": "list", "elements": "str", "default": []},
                "plans": {"type": "list", "elements": "str", "default": []},
                # The number is no int here, so that the error can tell which numbers there are.
                "target": {"type": "str", "default": "0"},
            }
        )
        hostvars = task_vars["hostvars"]
        variables = {name: hostvars.raw_get(name) for name in arguments["hosts"]}
        observations = {
            name: values["container_observation"]
            for name, values in variables.items()
            if isinstance(values.get("container_observation"), dict) and "release" in values["container_observation"]
        }
        try:
            decision = self.decision(arguments, variables, observations)
        except next_release.ReleaseError as error:
            return {"failed": True, "msg": str(error)}
        absent = [
            name
            for name in arguments["release_hosts"]
            if (hostvars.raw_get(name).get("container_observation") or {}).get("unreachable")
        ]
        left_out = sorted(set(arguments["release_hosts"]) - set(arguments["hosts"]) - set(absent))
        if decision["due"] and left_out:
            return {
                "failed": True,
                "msg": "A release is made on all hosts of web, edge and worker or on none, and this run leaves out %s. "
                "Run it without --limit." % ", ".join(left_out),
            }
        if decision["due"] and arguments["state"] == "release":
            text = next_release.tags_problem(task_vars["ansible_run_tags"], task_vars["ansible_skip_tags"])
            if text:
                return {"failed": True, "msg": text}
        return {
            "changed": False,
            **decision,
            "absent": absent,
            "fenced": history.fenced(decision["previous"], observations),
            "journal": history.journal(observations),
            "actor": "%s@%s" % (getpass.getuser(), socket.gethostname()),
            "started_at": datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        }

    @staticmethod
    def decision(arguments, variables, observations):
        slots, stack = arguments["slots"], arguments["stack"]
        if arguments["state"] == "rollback":
            unknown = [name for name in arguments["web_hosts"] if name not in observations]
            if unknown:
                raise next_release.ReleaseError("These web hosts could not be observed: %s." % ", ".join(unknown))
            return next_release.rollback(slots, observations, stack, arguments["web_hosts"], arguments["target"])
        if arguments["state"] == "live":
            live = history.live_record(observations)
            return {"due": False, "reasons": {}, "previous": live, **next_release.placement(slots, live)}
        comparisons = {
            name: [plan for role, plan in planning.planned(values, name).items() if role in arguments["plans"]]
            for name, values in variables.items()
            if name in observations
        }
        return next_release.decide(slots, observations, comparisons, stack)
