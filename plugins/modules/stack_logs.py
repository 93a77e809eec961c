#!/usr/bin/python
# MIT License (see LICENSE)
"""The last log lines of a stack's running containers on a host."""

from __future__ import annotations

DOCUMENTATION = r"""
module: stack_logs
short_description: Read the logs of a stack's containers
description:
  - Returns the last log lines of the stack's running containers on a host. Those of kept releases do not run.
options:
  stack:
    description: Name of the stack.
    type: str
    required: true
  services:
    description:
      - Which containers, by the start of their names without the stack's, such as V(web) or V(worker-mail); empty for
        all.
    type: list
    elements: str
    default: []
  since:
    description: How far back, a number with V(s), V(m), V(h) or V(d); empty for any time.
    type: str
    default: ""
  lines:
    description: Last lines of each container.
    type: int
    default: 100
  docker_host:
    description: URL of the Engine's Unix socket; E(DOCKER_HOST) of the host when it is set.
    type: str
    default: unix:///var/run/docker.sock
attributes:
  check_mode:
    description: Changes nothing.
    support: full
author: The broadcast.stack authors
"""

EXAMPLES = r"""
- name: Read what web wrote in the last ten minutes
  broadcast.stack.stack_logs:
    stack: shop
    services: [web]
    since: 10m
"""

RETURN = r"""
lines:
  description: The lines of all containers, {at, container, text}, oldest first.
  returned: always
  type: list
  elements: dict
"""

import http.client
import json
import re
import time

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.broadcast.stack.plugins.module_utils.engine import HOST_OPTION, Engine, EngineError, joined

UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def seconds(text):
    """Of a time span such as 10m; raises ValueError."""
    found = re.match(r"(\d+)([smhd])$", text)
    if not found:
        raise ValueError("since: %r is no number with s, m, h or d, such as 10m" % text)
    return int(found.group(1)) * UNITS[found.group(2)]


def chosen(name, stack, services):
    """Whether a container is one of the services."""
    rest = name[len(stack) + 1 :] if name.startswith(stack + "-") else name
    return not services or any(rest == service or rest.startswith(service + "-") for service in services)


def split(container, stream):
    """The lines of a log that was read with times."""
    found = []
    for line in stream.splitlines():
        at, _sep, text = line.partition(" ")
        found.append({"at": at, "container": container, "text": text})
    return found


def read(engine, stack, services, since, lines):
    filters = json.dumps({"label": ["broadcast.stack.name=%s" % stack]})
    found = []
    query = {"since": int(time.time()) - seconds(since)} if since else {}
    for entry in engine.get("/containers/json", filters=filters):
        name = entry["Names"][0].lstrip("/")
        if chosen(name, stack, services):
            path = "/containers/%s/logs" % entry["Id"]
            stream = engine.raw(path, stdout=1, stderr=1, timestamps=1, tail=lines, **query)
            found += split(name, joined(stream))
    return sorted(found, key=lambda line: line["at"])


def main():
    module = AnsibleModule(
        argument_spec={
            "stack": {"type": "str", "required": True},
            "services": {"type": "list", "elements": "str", "default": []},
            "since": {"type": "str", "default": ""},
            "lines": {"type": "int", "default": 100},
            "docker_host": HOST_OPTION,
        },
        supports_check_mode=True,
    )
    options = module.params
    try:
        engine = Engine(options["docker_host"])
        lines = read(engine, options["stack"], options["services"], options["since"], options["lines"])
    except ValueError as error:
        module.fail_json(msg=str(error))
    except (EngineError, OSError, http.client.HTTPException) as error:
        module.fail_json(msg="The Docker Engine did not answer: %s" % error)
    module.exit_json(changed=False, lines=lines)


if __name__ == "__main__":
    main()
