#!/usr/bin/python
# MIT License (see LICENSE)
"""A copy of a running container that serves its published ports while it is replaced."""

from __future__ import annotations

DOCUMENTATION = r"""
module: container_stand_in
short_description: Let a copy of a container serve its published ports
description:
  - Two containers cannot publish the same port, so one that is replaced in place is away from the moment it gets its
    stop signal until the next one listens, which is as long as its open connections take.
  - With V(present) a copy of the running container (the same image, command, environment, mounts, networks and limits)
    is started, and when it is healthy, new connections to the container's published ports are led to the copy, by a
    chain of iptables that comes before Docker's own. Open connections stay with the container.
  - With V(absent) that chain is removed, so new connections reach what Docker publishes, and the copy is stopped in its
    own way and removed.
  - The rules do not outlive a restart of the host. IPv6 and what the host asks on 127.0.0.1 are not led to the copy.
  - Talks to the Engine over its Unix socket with the standard library only.
options:
  name:
    description: Name of the container.
    type: str
    required: true
  state:
    description: Whether a copy stands in for it.
    type: str
    choices: [present, absent]
    default: present
  leave:
    description:
      - Command that is run in what will stop, the container or its copy, as soon as new connections go to the other;
        what it does about open ones is over when it returns. Its failure is told and changes nothing.
    type: list
    elements: str
    default: []
  timeout:
    description: Seconds to wait until the copy is healthy. Without that the container is left as it is.
    type: int
    default: 120
  docker_host:
    description: URL of the Engine's Unix socket; E(DOCKER_HOST) of the host when it is set.
    type: str
    default: unix:///var/run/docker.sock
attributes:
  check_mode:
    description: Says whether it would do something.
    support: full
author: The broadcast.stack authors
"""

EXAMPLES = r"""
- name: Let a copy of the edge serve
  broadcast.stack.container_stand_in:
    name: shop-nginx

- name: Let the edge serve itself again
  broadcast.stack.container_stand_in:
    name: shop-nginx
    state: absent
"""

RETURN = r"""
msg:
  description: What was done, or why nothing was.
  returned: always
  type: str
  sample: shop-nginx-stand-in has new connections to 443/tcp, 80/tcp.
"""

import contextlib
import http.client
import os
import time

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.broadcast.stack.plugins.module_utils import likeness, log_pipes, neighbors, stand_in
from ansible_collections.broadcast.stack.plugins.module_utils.engine import (
    HOST_OPTION,
    Engine,
    EngineError,
    grace_of,
    health_command,
    joined,
    patience,
)

LABEL_PREFIX = "broadcast.stack."
LOG_LINES = 20


class StandInError(Exception):
    """The copy cannot stand in."""


def wanted(detail):
    """What the Engine is asked to create, and the networks to join beside the first: a pure function."""
    own, host = detail["Config"], detail["HostConfig"]
    labels = own.get("Labels") or {}
    name = detail["Name"].lstrip("/")
    ports = sorted({(entry["container_port"], entry["protocol"]) for entry in ports_of(detail)})
    keys = ["%d/%s" % port for port in ports]
    return likeness.like(
        detail,
        stand_in.container_name(name),
        {
            LABEL_PREFIX + "name": labels.get(LABEL_PREFIX + "name", ""),
            LABEL_PREFIX + "role": labels.get(LABEL_PREFIX + "role", ""),
            LABEL_PREFIX + "stand_in": name,
        },
        {
            "ExposedPorts": {key: {} for key in keys},
            **{key: own[key] for key in ("Healthcheck", "StopSignal", "StopTimeout") if own.get(key) is not None},
        },
        {
            # Docker lets packets pass only to published ports. Nobody is told of this port, so the Engine chooses it.
            "PortBindings": {key: [{"HostIp": "127.0.0.1", "HostPort": ""}] for key in keys},
            "LogConfig": host.get("LogConfig"),
            "RestartPolicy": host.get("RestartPolicy"),
        },
    )


def ports_of(detail, own=False):
    """Ports that others can ask a container at; own: those of a copy, which are on the loopback interface."""
    return stand_in.published(detail["NetworkSettings"].get("Ports"), loopback=own)


def shown(ports):
    return ", ".join(sorted({"%d/%s" % (entry["port"], entry["protocol"]) for entry in ports}))


def leave(docker_host, name, command):
    """Let a container prepare its end; a sentence about what went wrong, or nothing."""
    if not command:
        return ""
    try:
        code, output, errors = Engine(docker_host).answer(name, command)
    except (EngineError, OSError, http.client.HTTPException) as error:
        code, output, errors = -1, "", str(error)
    return "" if code == 0 else " %s ended with exit code %s: %s" % (" ".join(command), code, (output + errors).strip())


def end(docker_host, name, command):
    """Lead new connections back and remove the copy when it has answered; whether there was anything."""
    root = os.geteuid() == 0
    led = stand_in.lead_back(name) if root else False
    engine = Engine(docker_host)
    copy = engine.container(stand_in.container_name(name))
    if copy is not None:
        detail = engine.container(name)
        if led and detail is not None:
            # These rules are for rare connections. That they fail is no reason to give up the copy.
            with contextlib.suppress(KeyError):
                stand_in.restore(stand_in.rules_of_the_end(name, ports_of(detail), stand_in.listed("DOCKER")))
        if copy["State"]["Running"]:
            leave(docker_host, copy["Id"], command)
        grace = grace_of(copy)
        engine = Engine(docker_host, timeout=patience(grace))
        engine.request("POST", "/containers/%s/stop" % copy["Id"], t=grace)
        engine.request("DELETE", "/containers/%s" % copy["Id"], force=1)
    forgotten = stand_in.forget_answers(name) if root else False
    return copy is not None or led or forgotten


def wait_healthy(engine, identity, timeout, pause=0.3):
    """The copy when its health check passes. The Engine itself may look only after ten seconds, or thirty."""
    deadline = time.monotonic() + timeout
    while True:
        detail = engine.get("/containers/%s/json" % identity)
        running, command = detail["State"]["Running"], health_command(detail)
        if running and (not command or engine.answer(identity, command)[0] == 0):
            return detail
        if not running or time.monotonic() > deadline:
            log = joined(engine.raw("/containers/%s/logs" % identity, stdout=1, stderr=1, tail=LOG_LINES))
            what = "unhealthy" if running else "ended with exit code %s" % detail["State"].get("ExitCode")
            raise StandInError("%s: %s\n%s" % (detail["Name"].lstrip("/"), what, log))
        time.sleep(pause)


def stands_in(engine, name, ports):
    """Whether a running copy has new connections to all the ports already, from a run that was killed."""
    copy = engine.container(stand_in.container_name(name))
    if not copy or not copy["State"]["Running"] or stand_in.missing_jumps(name):
        return False
    docker, led = stand_in.listed("DOCKER"), stand_in.listed(stand_in.chain(name))
    try:
        return led == stand_in.targets(stand_in.rules(name, ports, ports_of(copy, own=True), docker, []))
    except KeyError:
        return False


def begin(docker_host, detail, timeout):
    """Start the copy and lead new connections to it. Raises StandInError, and leaves nothing then."""
    engine = Engine(docker_host)
    name = detail["Name"].lstrip("/")
    content, networks = wanted(detail)
    identity = engine.post("/containers/create", content, name=stand_in.container_name(name))["Id"]
    done = False
    try:
        for network in networks:
            engine.post("/networks/%s/connect" % network, {"Container": identity})
        engine.post("/containers/%s/start" % identity)
        copy = wait_healthy(engine, identity, timeout)
        neighbors.forget(copy)
        log_pipes.enlarge(copy["State"]["Pid"])
        missing = stand_in.missing_jumps(name)
        try:
            text = stand_in.rules(name, ports_of(detail), ports_of(copy, own=True), stand_in.listed("DOCKER"), missing)
        except KeyError as error:
            raise StandInError("Docker does not publish its port %s by iptables" % error) from error
        failure = stand_in.restore(text)
        if failure:
            raise StandInError(failure)
        done = True
    finally:
        if not done:
            engine.request("DELETE", "/containers/%s" % identity, force=1)


def hindrance(detail):
    """Why no copy can stand in on this host; empty when one can."""
    if detail is None or not detail["State"]["Running"]:
        return "it does not run"
    if not ports_of(detail):
        return "it publishes no port, or only to this host"
    if os.geteuid() != 0:
        return "only root may lead connections elsewhere"
    docker = stand_in.listed("DOCKER")
    unknown = [entry for entry in ports_of(detail) if (entry["protocol"], entry["port"]) not in docker]
    return "Docker does not publish %s by iptables" % shown(unknown) if unknown else ""


def main():
    module = AnsibleModule(
        argument_spec={
            "name": {"type": "str", "required": True},
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
            "leave": {"type": "list", "elements": "str", "default": []},
            "timeout": {"type": "int", "default": 120},
            "docker_host": HOST_OPTION,
        },
        supports_check_mode=True,
    )
    name, docker_host = module.params["name"], module.params["docker_host"]
    copy = stand_in.container_name(name)
    try:
        engine = Engine(docker_host)
        if module.params["state"] == "absent":
            if module.check_mode:
                module.exit_json(changed=engine.container(copy) is not None, msg="%s would be removed." % copy)
            changed = end(docker_host, name, module.params["leave"])
            module.exit_json(changed=changed, msg="%s was removed." % copy if changed else "There was no %s." % copy)
        detail = engine.container(name)
        reason = hindrance(detail)
        if reason:
            module.exit_json(changed=False, msg="Nothing stands in for %s: %s." % (name, reason))
        ports = ports_of(detail)
        changed = not stands_in(engine, name, ports)
        failure = ""
        if changed and not module.check_mode:
            end(docker_host, name, [])
            begin(docker_host, detail, module.params["timeout"])
            failure = leave(docker_host, name, module.params["leave"])
        module.exit_json(changed=changed, msg="%s has new connections to %s.%s" % (copy, shown(ports), failure))
    except (StandInError, EngineError, OSError, http.client.HTTPException) as error:
        what = "be removed" if module.params["state"] == "absent" else "stand in for it, so it is left as it is"
        module.fail_json(msg="%s: its copy %s cannot %s: %s" % (name, copy, what, error))


if __name__ == "__main__":
    main()
