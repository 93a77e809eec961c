# MIT License (see LICENSE)
"""The controller's part of the fleet lock: waits for it, keeps its heartbeat, and knows which owners were killed."""

from __future__ import annotations

import contextlib
import functools
import getpass
import json
import multiprocessing
import os
import pathlib
import platform
import time
import typing as t

from ansible import constants
from ansible.errors import AnsibleConnectionFailure
from ansible.plugins.action import ActionBase
from ansible.utils.display import Display
from ansible_collections.broadcast.stack.plugins.module_utils import lock as rules
from ansible_collections.broadcast.stack.plugins.plugin_utils import heartbeat

MODULE = "broadcast.stack.stack_lock"


def default_owner() -> str:
    try:
        user = getpass.getuser()
    # A container may run with a number that has no name.
    except (KeyError, OSError):
        user = str(os.getuid())
    return "%s@%s" % (user, platform.node())


def playbook_pid() -> int:
    """The ansible-playbook process, whose worker this is."""
    parent = multiprocessing.parent_process()
    return parent.pid if parent and parent.pid else os.getpid()


def shown(result: dict[str, t.Any]) -> dict[str, t.Any]:
    """A result without what is of no use to its readers."""
    holder = result.get("holder")
    public = {key: holder[key] for key in ("owner", "purpose", "acquired_at", "heartbeat_age")} if holder else None
    return {"token": "", **result, **({"holder": public} if "holder" in result else {})}


class ActionModule(ActionBase):
    """Hold, verify and release a lock on a host."""

    _supports_check_mode = True
    _supports_async = False

    def run(self, tmp: str | None = None, task_vars: dict[str, t.Any] | None = None) -> dict[str, t.Any]:
        super().run(tmp, task_vars)
        _result, self.arguments = self.validate_argument_spec(
            argument_spec={
                "state": {"type": "str", "choices": ["held", "verified", "released"], "default": "held"},
                "path": {"type": "path", "required": True},
                "token": {"type": "str", "default": "", "no_log": False},
                "owner": {"type": "str", "default": ""},
                "purpose": {"type": "str", "default": ""},
                "ttl": {"type": "int", "default": 30},
                "wait": {"type": "int", "default": 0},
            }
        )
        self.module = functools.partial(self._execute_module, module_name=MODULE, task_vars=task_vars)
        self.arguments["owner"] = self.arguments["owner"] or default_owner()
        self.pid = playbook_pid()
        self.since = heartbeat.started(self.pid)
        if self._task.check_mode:
            return shown(self.module(module_args=self.arguments))
        state = self.arguments["state"]
        try:
            return {"held": self.held, "verified": self.verified, "released": self.released}[state]()
        # An error of a task that runs once would end all hosts, whatever the task says about unreachable hosts.
        except AnsibleConnectionFailure as error:
            if state == "verified":
                raise
            why = "Its host cannot be reached: %s" % error
            if state == "held":
                return {"failed": True, "token": "", "msg": why}
            return {"changed": False, "token": "", "released": False, "msg": why + " It ends with its last heartbeat."}

    def held(self) -> dict[str, t.Any]:
        process = heartbeat.process(self.pid)
        begun, abandoned, watched, told = time.monotonic(), "", False, False
        while True:
            result = self.module(module_args={**self.arguments, "process": process, "abandoned": abandoned})
            holder = result.get("holder")
            if not holder:
                break
            waited = time.monotonic() - begun
            if holder["token"] != abandoned and heartbeat.is_gone(holder["process"]):
                # The run of the holder was killed on this controller, so there is nothing to wait for.
                abandoned = holder["token"]
                continue
            watched = watched or holder["overdue"]
            if not holder["overdue"] and waited >= self.arguments["wait"]:
                break
            if not told:
                self._display.display("%s Waiting." % result["msg"])
                told = True
            # The next chance is the holder's next heartbeat, the end of its time to live, or the end of our patience.
            chances = [rules.interval(holder["ttl"]), holder["ttl"] - holder["heartbeat_age"] + 0.05]
            if not holder["overdue"]:
                chances.append(self.arguments["wait"] - waited)
            time.sleep(max(0.2, min(chances)))
            if not self.alive():
                # When the run was killed, only this worker is left of it. It must not take a lock that nobody would
                # use.
                return {"failed": True, "token": "", "msg": "The run was killed while it waited for the lock."}
        result["waited_seconds"] = round(time.monotonic() - begun, 1)
        if watched:
            result["msg"] += " Its heartbeat was overdue, so it was watched for %s first." % rules.span(
                result["waited_seconds"]
            )
        return self.kept(result) if result.get("token") else shown(result)

    def alive(self) -> bool:
        """Whether the ansible-playbook process of this run still is there."""
        return bool(self.since) and heartbeat.started(self.pid) == self.since

    def kept(self, result: dict[str, t.Any]) -> dict[str, t.Any]:
        """The result of a taken lock whose heartbeat runs; the lock is given back when it cannot be renewed."""
        token, ttl = result["token"], self.arguments["ttl"]
        if self.running(token):
            return result
        command = rules.renewing_command(self.arguments["path"], token)
        pid, code = heartbeat.Heartbeat(
            functools.partial(self.beat, command),
            self.alive,
            rules.interval(ttl),
            gone=rules.GONE,
            beat_timeout=max(5, ttl / 3),
        ).start()
        since = heartbeat.started(pid) if pid else ""
        if code == 0 and since:
            self.note(token).write_text(json.dumps({"pid": pid, "started": since}), encoding="utf-8")
            return result
        heartbeat.end(pid, since)
        if code == rules.GONE:
            # Somebody was faster than the first heartbeat. The module tells who.
            return self.module(module_args={**self.arguments, "state": "verified", "token": token})
        self.module(module_args={**self.arguments, "state": "released", "token": token})
        return {
            "failed": True,
            "token": "",
            "msg": "The lock was given back, because its heartbeat cannot run over the connection %s (exit code %d)."
            % (self._connection.transport, code),
        }

    def beat(self, command: str) -> int:
        # The queue to ansible-playbook has a lock. A heartbeat that is killed would never give it back.
        Display()._final_q = None
        code = heartbeat.FAILED
        for _attempt in range(2):
            with contextlib.suppress(Exception):
                code = self._low_level_execute_command(command)["rc"]
                if code in (0, rules.GONE):
                    break
            # A connection that lives in the process is opened again.
            with contextlib.suppress(Exception):
                self._connection.close()
        return code

    def verified(self) -> dict[str, t.Any]:
        path, token, ttl = (self.arguments[name] for name in ("path", "token", "ttl"))
        if token:
            # This costs a tenth of a module, so a check can stand before each step.
            done = self._low_level_execute_command(rules.renewing_command(path, token, ttl))
            if done["rc"] == 0:
                # The process of the heartbeat may have been killed alone, for instance for want of memory.
                return self.kept({"changed": False, "token": token, "msg": "Still holding the lock %s." % path})
        return self.module(module_args={**self.arguments, "state": "verified"})

    def released(self) -> dict[str, t.Any]:
        token = self.arguments["token"]
        if not token:
            return {"changed": False, "token": "", "released": False, "msg": "No lock was taken."}
        if noted := self.noted(token):
            heartbeat.end(noted["pid"], noted["started"])
            self.note(token).unlink(missing_ok=True)
        return self.module(module_args=self.arguments)

    @staticmethod
    def note(token: str) -> pathlib.Path:
        """Where the tasks of a run find its heartbeat; the directory is the run's own and goes with it."""
        return pathlib.Path(constants.DEFAULT_LOCAL_TMP) / ("stack_lock-%s.json" % token)

    def noted(self, token: str) -> dict[str, t.Any]:
        with contextlib.suppress(OSError, ValueError):
            return json.loads(self.note(token).read_text(encoding="utf-8"))
        return {}

    def running(self, token: str) -> bool:
        noted = self.noted(token)
        return bool(noted) and heartbeat.started(noted["pid"]) == noted["started"]
