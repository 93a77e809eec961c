#!/usr/bin/python
# MIT License (see LICENSE)
"""Stop containers at once, each in the way and with the patience that it asks for."""

from __future__ import annotations

DOCUMENTATION = r"""
module: containers_stop
short_description: Stop several containers at the same time
description:
  - Sends each container its stop signal and gives it its stop timeout to end, all of them at once, so that draining
    takes as long as the slowest container and not as all together.
  - Stopped in this way, containers of the restart policy C(unless-stopped) stay down after a restart of the Engine.
  - Talks to the Engine over its Unix socket with the standard library only.
options:
  names:
    description: Names of the containers. Those that do not exist or do not run are listed in the result.
    type: list
    elements: str
    required: true
  extra_seconds:
    description: Seconds that each container gets beyond its own stop timeout before it is killed.
    type: int
    default: 0
  remove:
    description: Remove the containers when they have ended, and those that did not run. Volumes are kept.
    type: bool
    default: false
  wait:
    description:
      - Whether to wait until they have ended. Otherwise a process on the host sees to it and outlives the run; until
        then M(broadcast.stack.stack_info) tells of a container that it is C(draining). Needs O(root).
    type: bool
    default: true
  root:
    description:
      - Directory that holds the rendered files of the stack's containers, with the notes about those that nobody has
        waited for. Such a container is not told again to end. It is waited for when O(wait) is true.
    type: path
  docker_host:
    description: URL of the Engine's Unix socket; E(DOCKER_HOST) of the host when it is set.
    type: str
    default: unix:///var/run/docker.sock
attributes:
  check_mode:
    description: Says what it would do.
    support: full
author: The broadcast.stack authors
"""

EXAMPLES = r"""
- name: Drain the old workers
  broadcast.stack.containers_stop:
    names: [shop-worker-default-blue, shop-worker-mail-blue]

- name: Let them finish by themselves
  broadcast.stack.containers_stop:
    names: [shop-worker-default-blue, shop-worker-mail-blue]
    root: /opt/shop/containers
    wait: false
"""

RETURN = r"""
containers:
  description:
    - What became of each container that exists. C(killed) says that it did not end within its grace and was killed.
    - In check mode C(seconds), C(exit_code) and C(killed) are null.
    - C(draining) says until when a container that nobody waits for may go on, and is empty for others.
  returned: always
  type: dict
  sample:
    shop-worker-mail-blue:
      {was_running: true, seconds: 3.4, exit_code: 0, killed: false, grace: 60, removed: false, draining: ""}
missing:
  description: Names of containers that do not exist.
  returned: always
  type: list
  elements: str
msg:
  description: The same in one sentence.
  returned: always
  type: str
"""

import concurrent.futures
import http.client
import os
import time

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.broadcast.stack.plugins.module_utils import draining
from ansible_collections.broadcast.stack.plugins.module_utils.engine import (
    ANSWER_SECONDS,
    HOST_OPTION,
    MISSING,
    Engine,
    EngineError,
    grace_of,
    patience,
)

# 128 + SIGKILL
KILLED = 137
BEING_REMOVED = 409


def remove(engine, identity, seconds=ANSWER_SECONDS, pause=0.2):
    """Remove a container, and wait for one that removes itself."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            engine.request("DELETE", "/containers/%s" % identity)
            return
        except EngineError as error:
            if error.status == MISSING:
                return
            if error.status != BEING_REMOVED or time.monotonic() > deadline:
                raise
        time.sleep(pause)


def end_of(engine, root, detail, pause=0.25):
    """Wait for a container that has been told to end and finishes by itself, as long as it may; what it is then."""
    while detail is not None and draining.read(root, detail):
        time.sleep(pause)
        detail = engine.container(detail["Name"].lstrip("/"))
    return detail


def stop(docker_host, name, extra_seconds, with_remove, check_mode, root=None):
    """What became of one container; None when it does not exist."""
    engine = Engine(docker_host)
    detail = engine.container(name)
    if detail is None:
        return None
    identity, running, grace = detail["Id"], detail["State"]["Running"], grace_of(detail, extra_seconds)
    result = {"was_running": running, "seconds": 0.0, "exit_code": None, "killed": False, "grace": grace}
    result.update(removed=with_remove, draining="")
    if check_mode:
        return {**result, "seconds": None, "killed": None} if running else result
    begun = time.monotonic()
    # A second signal would begin its grace anew.
    end_of(engine, root, detail)
    engine = Engine(docker_host, timeout=patience(grace))
    # A container that does not run is stopped as well: it may be between two restarts.
    try:
        engine.request("POST", "/containers/%s/stop" % identity, t=grace)
        result["seconds"] = round(time.monotonic() - begun, 2) if running else 0.0
        result["exit_code"] = engine.get("/containers/%s/json" % identity)["State"]["ExitCode"]
    except EngineError as error:
        # The container removed itself when it ended.
        if error.status != MISSING:
            raise
        result["removed"] = True
    result["killed"] = running and result["exit_code"] == KILLED and 0 <= grace <= result["seconds"] + 0.1
    if with_remove:
        remove(engine, identity)
    return result


def in_threads(work, names):
    """(results by name, errors by name) of work, done for all names at once."""
    results, errors = {}, {}
    with concurrent.futures.ThreadPoolExecutor(max_workers=len(names) or 1) as pool:
        futures = {name: pool.submit(work, name) for name in names}
    for name, future in futures.items():
        try:
            results[name] = future.result()
        except (EngineError, OSError, http.client.HTTPException) as error:
            errors[name] = str(error)
    return results, errors


def stop_all(names, docker_host, extra_seconds, with_remove, check_mode, root=None):
    """(results by name, missing names, errors by name)"""
    found, errors = in_threads(
        lambda name: stop(docker_host, name, extra_seconds, with_remove, check_mode, root), list(dict.fromkeys(names))
    )
    missing = [name for name, result in found.items() if result is None]
    return {name: result for name, result in found.items() if result is not None}, missing, errors


def finish(docker_host, root, name, identity, grace, pause=1.0):
    """Tell a container to end and see to it that it has ended after its grace, whatever the Engine does meanwhile."""
    deadline = time.monotonic() + grace
    while True:
        rest = max(0, int(deadline - time.monotonic() + 0.5)) if grace >= 0 else grace
        try:
            Engine(docker_host, timeout=patience(rest)).request("POST", "/containers/%s/stop" % identity, t=rest)
            break
        except (EngineError, OSError, http.client.HTTPException) as error:
            if getattr(error, "status", 0) == MISSING:
                break
            if grace >= 0 and time.monotonic() > deadline + ANSWER_SECONDS:
                # The note stops counting by itself, and the next run stops the container.
                return
        time.sleep(pause)
    draining.forget(root, name)


def beside(work):
    """Do it in a process of its own that outlives this one and everything that started it."""
    child = os.fork()
    if child:
        os.waitpid(child, 0)
        return
    try:
        # Of another session: whoever ends this one, or its terminal, does not end that process.
        os.setsid()
        if not os.fork():
            nothing = os.open(os.devnull, os.O_RDWR)
            # Whoever reads this module's output waits until nobody can write to it any more.
            for number in range(3):
                os.dup2(nothing, number)
            os.closerange(3, 256)
            os.chdir("/")
            work()
    finally:
        os._exit(0)


def let_finish(names, docker_host, extra_seconds, root, check_mode):
    """As stop_all, for containers that nobody waits for."""
    results, missing, begun = {}, [], []
    engine = Engine(docker_host)
    for name in dict.fromkeys(names):
        detail = engine.container(name)
        if detail is None:
            missing.append(name)
            continue
        running, grace = detail["State"]["Running"], grace_of(detail, extra_seconds)
        note = draining.read(root, detail)
        results[name] = {
            "was_running": running,
            "seconds": None,
            "exit_code": None,
            "killed": None,
            "grace": grace,
            "removed": False,
            "draining": draining.told(note),
        }
        if note or check_mode:
            continue
        if running:
            draining.write(root, name, detail, grace)
            results[name]["draining"] = draining.told(draining.read(root, detail))
        # One that does not run may be between two restarts.
        begun.append((name, detail["Id"], grace))
    if begun:
        rows = {name: (identity, grace) for name, identity, grace in begun}
        beside(lambda: in_threads(lambda name: finish(docker_host, root, name, *rows[name]), list(rows)))
    return results, missing, {}


def sentence(results, missing, errors):
    """The results for people."""
    parts = []
    for name, result in results.items():
        ended = " (exit code %s)" % result["exit_code"] if result["exit_code"] is not None else ""
        if result["draining"]:
            text = "%s finishes what it does, until %s at the latest" % (name, result["draining"])
            if result["draining"] == draining.told({"until": None}):
                text = "%s finishes what it does, however long that takes" % name
        elif result["was_running"] and result["seconds"] is None:
            text = "%s would be stopped within %d s" % (name, result["grace"])
        elif result["killed"]:
            text = "%s was killed, since it had not ended %d s after its stop signal" % (name, result["grace"])
        elif result["was_running"]:
            text = "%s stopped in %.1f s%s" % (name, result["seconds"], ended)
        else:
            text = "%s was not running" % name
        parts.append(text)
    parts += ["%s does not exist" % name for name in missing]
    parts += ["%s could not be stopped: %s" % (name, error) for name, error in errors.items()]
    return "; ".join(parts) + "." if parts else "No containers to stop."


def main():
    module = AnsibleModule(
        argument_spec={
            "names": {"type": "list", "elements": "str", "required": True},
            "extra_seconds": {"type": "int", "default": 0},
            "remove": {"type": "bool", "default": False},
            "wait": {"type": "bool", "default": True},
            "root": {"type": "path"},
            "docker_host": HOST_OPTION,
        },
        supports_check_mode=True,
        required_if=[("wait", False, ["root"])],
    )
    params = module.params
    if not params["wait"] and params["remove"]:
        module.fail_json(msg="remove: a container is removed when it has ended, so wait has to be true")
    common = params["names"], params["docker_host"], params["extra_seconds"]
    if params["wait"]:
        results, missing, errors = stop_all(*common, params["remove"], module.check_mode, params["root"])
    else:
        try:
            results, missing, errors = let_finish(*common, params["root"], module.check_mode)
        except (EngineError, OSError, http.client.HTTPException) as error:
            results, missing, errors = {}, [], dict.fromkeys(params["names"], str(error))
    changed = any(result["was_running"] or result["removed"] for result in results.values())
    outcome = {"containers": results, "missing": missing, "msg": sentence(results, missing, errors)}
    if errors:
        module.fail_json(changed=changed, **outcome)
    module.exit_json(changed=changed, **outcome)


if __name__ == "__main__":
    main()
