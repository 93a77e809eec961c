#!/usr/bin/python
# MIT License (see LICENSE)
"""A command in a fresh container that is like a running one."""

from __future__ import annotations

DOCUMENTATION = r"""
module: container_beside
short_description: Run a command in a fresh container that is like another one
description:
  - Creates a container with image, environment, mounted files and secrets, networks and limits of another one, without
    its fixed addresses, ports and health check, runs a command in it, and removes it, however it ends.
  - What differs between the other container and its specification does not matter, so the command works with exactly
    what serves now.
options:
  like:
    description: Name of the container to be like.
    type: str
    required: true
  command:
    description: Command with its arguments; a text is split as a shell splits words, and nothing in it is expanded.
    type: raw
    required: true
  stack:
    description: Name of the stack, which the container is labelled with and named after.
    type: str
    required: true
  timeout:
    description: Seconds after which the command is killed.
    type: int
    default: 3600
  docker_host:
    description: URL of the Engine's Unix socket; E(DOCKER_HOST) of the host when it is set.
    type: str
    default: unix:///var/run/docker.sock
attributes:
  check_mode:
    description: Runs nothing, and returns an empty output.
    support: full
author: The broadcast.stack authors
"""

EXAMPLES = r"""
- name: Count the users
  broadcast.stack.container_beside:
    like: shop-web-blue
    stack: shop
    command: [python, manage.py, shell, -c, "from django.contrib.auth.models import User; print(User.objects.count())"]
"""

RETURN = r"""
exit_code:
  description: Exit code of the command; 124 when it was killed for its time.
  returned: always
  type: int
stdout:
  description: Its output.
  returned: always
  type: str
stderr:
  description: Its errors.
  returned: always
  type: str
"""

import http.client
import os
import shlex
import signal
import time

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.broadcast.stack.plugins.module_utils import likeness
from ansible_collections.broadcast.stack.plugins.module_utils.engine import HOST_OPTION, Engine, EngineError, joined

TIMED_OUT = 124
# A container with secret variables starts with these words, and its own command follows. See plugin_utils/containers.
SECRET_ENV_COMMAND = ["sh", "-c", '. /run/secrets/.environment; exec "$@"', "sh"]


class Ended(BaseException):
    """The module is asked to end: the controller was interrupted."""


def end(_signal, _frame):
    raise Ended


def wanted(detail, name, command, labels):
    """What the Engine is asked to create, and the networks to join beside the first: a pure function."""
    own = detail["Config"].get("Cmd") or []
    wrapper = SECRET_ENV_COMMAND if own[:4] == SECRET_ENV_COMMAND else []
    return likeness.like(
        detail,
        name,
        labels,
        {"Cmd": wrapper + command, "Healthcheck": {"Test": ["NONE"]}},
        {"LogConfig": {"Type": "json-file", "Config": {}}},
    )


def run(engine, like, command, stack, timeout):
    """Exit code, output and errors of the command."""
    labels = {"broadcast.stack.name": stack, "broadcast.stack.role": "command-run"}
    name = "%s-command-run-%s" % (stack, os.urandom(4).hex())
    content, networks = wanted(engine.get("/containers/%s/json" % like), name, command, labels)
    created = engine.post("/containers/create", content, name=name)["Id"]
    try:
        for network in networks:
            engine.post("/networks/%s/connect" % network, {"Container": created})
        engine.post("/containers/%s/start" % created)
        started, code = time.monotonic(), None
        while code is None:
            state = engine.get("/containers/%s/json" % created)["State"]
            if not state["Running"]:
                code = state["ExitCode"]
            elif time.monotonic() - started > timeout:
                engine.post("/containers/%s/kill" % created)
                code = TIMED_OUT
            else:
                time.sleep(0.2)
        stream = engine.raw("/containers/%s/logs" % created, stdout=1, stderr=1)
        return code, joined(stream, [1]), joined(stream, [2])
    finally:
        engine.request("DELETE", "/containers/%s" % created, force=1, v=1)


def main():
    module = AnsibleModule(
        argument_spec={
            "like": {"type": "str", "required": True},
            "command": {"type": "raw", "required": True},
            "stack": {"type": "str", "required": True},
            "timeout": {"type": "int", "default": 3600},
            "docker_host": HOST_OPTION,
        },
        supports_check_mode=True,
    )
    command = module.params["command"]
    try:
        command = shlex.split(command) if isinstance(command, str) else [str(word) for word in command]
    except ValueError as error:
        module.fail_json(msg="command: %s" % error)
    if not command:
        module.fail_json(msg="command: is empty")
    if module.check_mode:
        module.exit_json(changed=True, exit_code=0, stdout="", stderr="")
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, end)
    like = module.params["like"]
    try:
        engine = Engine(module.params["docker_host"])
        code, output, errors = run(engine, like, command, module.params["stack"], module.params["timeout"])
    except EngineError as error:
        absent = "there is no container %s of the live release; run site.yml first" % like
        module.fail_json(msg=absent if error.status == 404 and like in str(error) else str(error))
    except (OSError, http.client.HTTPException) as error:
        module.fail_json(msg="The Docker Engine did not answer: %s" % error)
    if code == TIMED_OUT:
        errors += "\nThe command was killed after %d seconds (run_timeout).\n" % module.params["timeout"]
    module.exit_json(changed=True, exit_code=code, stdout=output, stderr=errors)


if __name__ == "__main__":
    main()
