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
"""

RETURN = r"""
containers:
  description:
    - What became of each container that exists. C(killed) says that it did not end within its grace and was killed.
    - In check mode C(seconds), C(exit_code) and C(killed) are null.
  returned: always
  type: dict
  sample:
    shop-worker-mail-blue: {was_running: true, seconds: 3.4, exit_code: 0, killed: false, grace: 60, removed: false}
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
import time

from ansible.module_utils.basic import AnsibleModule
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


def stop(docker_host, name, extra_seconds, with_remove, check_mode):
    """What became of one container; None when it does not exist."""
    detail = Engine(docker_host).container(name)
    if detail is None:
        return None
    identity, running, grace = detail["Id"], detail["State"]["Running"], grace_of(detail, extra_seconds)
    result = {"was_running": running, "seconds": 0.0, "exit_code": None, "killed": False, "grace": grace}
    result["removed"] = with_remove
    if check_mode:
        return {**result, "seconds": None, "killed": None} if running else result
    engine = Engine(docker_host, timeout=patience(grace))
    begun = time.monotonic()
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


def stop_all(names, docker_host, extra_seconds, with_remove, check_mode):
    """(results by name, missing names, errors by name)"""
    names = list(dict.fromkeys(names))
    results, missing, errors = {}, [], {}
    if not names:
        return results, missing, errors
    with concurrent.futures.ThreadPoolExecutor(max_workers=len(names)) as pool:
        futures = {name: pool.submit(stop, docker_host, name, extra_seconds, with_remove, check_mode) for name in names}
    for name, future in futures.items():
        try:
            result = future.result()
        except (EngineError, OSError, http.client.HTTPException) as error:
            errors[name] = str(error)
            continue
        if result is None:
            missing.append(name)
        else:
            results[name] = result
    return results, missing, errors


def sentence(results, missing, errors):
    """The results for people."""
    parts = []
    for name, result in results.items():
        ended = " (exit code %s)" % result["exit_code"] if result["exit_code"] is not None else ""
        if result["was_running"] and result["seconds"] is None:
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
            "docker_host": HOST_OPTION,
        },
        supports_check_mode=True,
    )
    params = module.params
    results, missing, errors = stop_all(
        params["names"], params["docker_host"], params["extra_seconds"], params["remove"], module.check_mode
    )
    changed = any(result["was_running"] or result["removed"] for result in results.values())
    outcome = {"containers": results, "missing": missing, "msg": sentence(results, missing, errors)}
    if errors:
        module.fail_json(changed=changed, **outcome)
    module.exit_json(changed=changed, **outcome)


if __name__ == "__main__":
    main()
