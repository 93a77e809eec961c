#!/usr/bin/python
# MIT License (see LICENSE)
"""One observation of a host: all that a run needs to know before it acts, in one module execution."""

from __future__ import annotations

DOCUMENTATION = r"""
module: stack_info
short_description: Observe a host of a stack in one call
description:
  - Returns the Docker Engine, containers, images, networks, volumes and rendered files of a stack on a host, plus the
    few host figures that roles compute with, so that a run that changes nothing needs no other module execution.
  - Talks to the Engine over its Unix socket with the standard library only, which costs a tenth of a Docker module.
options:
  stack:
    description: Name of the stack.
    type: str
    required: true
  root:
    description: Directory that holds the rendered files of the stack's containers, one folder per container.
    type: path
    required: true
  paths:
    description: Further files to observe.
    type: list
    elements: path
    default: [/etc/docker/daemon.json]
  docker_host:
    description: URL of the Engine's Unix socket; E(DOCKER_HOST) of the host when it is set.
    type: str
    default: unix:///var/run/docker.sock
  logs:
    description: Containers whose last log lines and last health check output are returned as well.
    type: list
    elements: str
    default: []
  log_lines:
    description: Number of log lines per container.
    type: int
    default: 30
  layers:
    description: Whether the layers of every image are returned as well.
    type: bool
    default: false
  ask:
    description:
      - Running container to a command that only reads, whose exit code and output are returned as well. Others are left
        out.
      - A container of the stack that has the label C(broadcast.stack.observe), a command as a list in JSON, is asked
        that without being named here.
    type: dict
    default: {}
  strain:
    description: Whether processes that the kernel killed for want of memory are counted in running containers.
    type: bool
    default: false
  edge:
    description:
      - Running container of an edge whose requests of the last O(edge_seconds) are counted, by its access log. Empty
        for none.
    type: str
    default: ""
  edge_seconds:
    description: Seconds of the access log that count; of these the last ten thousand requests.
    type: int
    default: 300
  healthy:
    description:
      - Containers to wait for before observing, each with the seconds after which waiting for it is given up. All
        timeouts run from the start of the module. A container that the Engine calls starting is asked by its own health
        check, several times a second, since the Engine may look only after ten. It is also given up when a container is
        unhealthy, has ended for good, or ended and was restarted O(restarts) times meanwhile.
      - Logs of those that did not become healthy are returned as if named in O(logs).
    type: dict
    default: {}
  healthy_slot:
    description:
      - Release slot whose containers of the stack are waited for as if named in O(healthy), but for those that never
        run beside their like. Each gets two minutes, or one more than its health check calls it starting. Empty for
        none.
    type: str
    default: ""
  restarts:
    description: Number of restarts during the wait that are put up with.
    type: int
    default: 5
attributes:
  check_mode:
    description: Changes nothing.
    support: full
author: The broadcast.stack authors
"""

EXAMPLES = r"""
- name: Observe the host
  broadcast.stack.stack_info:
    stack: shop
    root: /opt/shop/containers
  register: observation
"""

RETURN = r"""
engine:
  description:
    - Docker Engine. C(error) says why a running Engine could not be asked. C(configuration) is what its options are
      made of, the path and text of its file, the arguments of its process or service, and the note of what this stack
      has written there.
  returned: always
  type: dict
  sample: {installed: true, running: true, version: 26.1.5, api_version: "1.45", driver: overlay2, error: ""}
host:
  description: Memory in MiB, processors, Unix time, free MiB of Docker's directory, own uid, listening sockets, routes,
    IPv4 addresses, name servers, whether C(nft) is there, and C(firewall), the digest of the stack's packet filter.
  returned: always
  type: dict
files:
  description: Absolute path to sha256 (null when unreadable), mode, uid and gid.
  returned: always
  type: dict
links:
  description: Path to target of the symbolic links below O(root).
  returned: always
  type: dict
environments:
  description: Container name to the text of its env file.
  returned: always
  type: dict
release:
  description: C(current), the record of the live release or null, and C(journal), the newest records of releases.
  returned: always
  type: dict
answers:
  description: >-
    Containers of O(ask) and those with a question of their own to what their command answered, C(rc), C(stdout) and
    C(stderr). PostgreSQL's answer has one line per fault of the owners and rights in its database.
  returned: always
  type: dict
certificates:
  description: Path to PEM text of the files below O(root) that hold certificates and no key; not of large bundles.
  returned: always
  type: dict
containers:
  description: All containers of the Engine by name. C(draining) says until when one that was told to end may finish.
  returned: always
  type: dict
images:
  description: Image reference, by tag and by digest as the filter C(image_reference) writes it, to its id and size, and
    with O(layers) to the diff ids of its layers.
  returned: always
  type: dict
networks:
  description: Network name to C(id), C(stack), the stack that it was created for, C(internal) and C(subnet).
  returned: always
  type: dict
waited:
  description: Containers of O(healthy) and what became of them, V(healthy) or the reason why not.
  returned: always
  type: dict
  sample: {shop-web: healthy, shop-beat: ended with exit code 1}
requests:
  description: >-
    Requests of the edge, C(total), C(failed) with a status of 500 or more, and C(seconds); empty without one.
  returned: always
  type: dict
volumes:
  description: >-
    Volume name to C(stack), the stack that it was created for, and C(uid), its owner (null when that cannot be seen).
  returned: always
  type: dict
"""

import http.client
import json
import os
import shutil
import time

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.broadcast.stack.plugins.module_utils import engine_configuration, firewall, image_references
from ansible_collections.broadcast.stack.plugins.module_utils.container_state import (
    LABEL_PREFIX,
    answers,
    container_log,
    container_state,
    edge_requests,
    oom_kills,
    volume_state,
)
from ansible_collections.broadcast.stack.plugins.module_utils.engine import HOST_OPTION, Engine, EngineError
from ansible_collections.broadcast.stack.plugins.module_utils.health import Asking, in_slot, starting, wait_healthy
from ansible_collections.broadcast.stack.plugins.module_utils.host_facts import (
    addresses,
    firewall_state,
    free_mb,
    listening,
    memory_mb,
    nameservers,
    routes,
)
from ansible_collections.broadcast.stack.plugins.module_utils.host_files import (
    certificate_texts,
    environment_texts,
    files_state,
    links_state,
    release_state,
)


def observe(
    stack,
    root,
    paths,
    docker_host,
    logs,
    log_lines,
    healthy,
    restarts,
    layers=False,
    ask=None,
    strain=False,
    edge="",
    edge_seconds=300,
    healthy_slot="",
):
    asking = Asking(docker_host, Engine)
    if healthy_slot:
        healthy = {**in_slot(Engine(docker_host), stack, healthy_slot), **healthy}
    waited = wait_healthy(Engine(docker_host), healthy, restarts, asking) if healthy else {}
    installed = bool(shutil.which("dockerd", path=os.environ.get("PATH", "") + ":/usr/sbin:/usr/local/bin:/usr/bin"))
    result = {
        "engine": {
            "installed": installed,
            "running": False,
            "error": "",
            "configuration": engine_configuration.state(stack),
        },
        "host": {
            "memory_mb": memory_mb(),
            "cpus": os.cpu_count(),
            "epoch": time.time(),
            "uid": os.geteuid(),
            "docker_free_mb": free_mb("/var/lib/docker"),
            "listening": listening(),
            "routes": routes(),
            "addresses": addresses(),
            "nameservers": nameservers(),
            "nft": bool(shutil.which("nft", path=firewall.SEARCH_PATH)),
            "firewall": firewall_state(stack),
        },
        "files": files_state(root, [*paths, *firewall.paths(stack).values()]),
        "links": links_state(root),
        "environments": {},
        "answers": {},
        "release": release_state(root),
        "containers": {},
        "images": {},
        "networks": {},
        "volumes": {},
        "logs": {},
        "requests": {},
        "waited": waited,
    }
    result["environments"] = environment_texts(root, result["files"])
    result["certificates"] = certificate_texts([path for path in result["files"] if path.startswith(root + "/")])
    try:
        engine = Engine(docker_host)
        version, info = engine.get("/version"), engine.get("/info")
    except (OSError, http.client.HTTPException) as error:
        result["engine"]["error"] = "%s: %s" % (docker_host, error)
        return result
    result["engine"].update(
        installed=True,
        running=True,
        version=version["Version"],
        api_version=version["ApiVersion"],
        driver=info["Driver"],
        live_restore=info["LiveRestoreEnabled"],
        data_root=info["DockerRootDir"],
        swarm=(info.get("Swarm") or {}).get("LocalNodeState", "inactive") != "inactive",
        remaps_users=any("name=userns" in text for text in info.get("SecurityOptions") or []),
        # A containerd image store names images by manifest, and its load needs every layer.
        containerd_store=any("containerd" in str(row[1]) for row in info.get("DriverStatus") or []),
    )
    result["host"]["docker_free_mb"] = free_mb(info["DockerRootDir"])
    own = {}
    for entry in engine.get("/containers/json", all=1):
        name = entry["Names"][0].lstrip("/")
        ours = (entry.get("Labels") or {}).get(LABEL_PREFIX + "name") == stack
        detail = {}
        if ours:
            try:
                detail = engine.get("/containers/%s/json" % entry["Id"])
            except EngineError:
                continue
        result["containers"][name] = container_state(entry, detail, root)
        # Whoever has just seen it healthy would otherwise find it starting again.
        if ours and starting(detail) and (waited.get(name) == "healthy" or asking.healthy(name, detail)):
            result["containers"][name]["health"] = "healthy"
        if ours and (question := entry["Labels"].get(LABEL_PREFIX + "observe")):
            own[name] = json.loads(question)
        if strain and ours and entry["State"] == "running":
            result["containers"][name]["oom_kills"] = oom_kills(detail["State"].get("Pid", 0))
    result["images"] = image_references.images_of(engine, layers)
    for entry in engine.get("/networks"):
        subnets = [config.get("Subnet", "") for config in (entry.get("IPAM") or {}).get("Config") or []]
        result["networks"][entry["Name"]] = {
            "id": entry["Id"],
            "stack": (entry.get("Labels") or {}).get(LABEL_PREFIX + "name", ""),
            "internal": entry["Internal"],
            "subnet": subnets[0] if subnets else "",
        }
    result["volumes"] = {entry["Name"]: volume_state(entry) for entry in engine.get("/volumes").get("Volumes") or []}
    result["answers"] = answers(engine, {**own, **(ask or {})}, result["containers"])
    if edge and result["containers"].get(edge, {}).get("status") == "running":
        result["requests"] = edge_requests(engine, edge, edge_seconds)
    failed = [name for name, outcome in waited.items() if outcome != "healthy"]
    result["logs"] = {name: container_log(engine, name, log_lines) for name in logs + failed}
    return result


def main():
    module = AnsibleModule(
        argument_spec={
            "stack": {"type": "str", "required": True},
            "root": {"type": "path", "required": True},
            "paths": {"type": "list", "elements": "path", "default": ["/etc/docker/daemon.json"]},
            "docker_host": HOST_OPTION,
            "logs": {"type": "list", "elements": "str", "default": []},
            "layers": {"type": "bool", "default": False},
            "ask": {"type": "dict", "default": {}},
            "strain": {"type": "bool", "default": False},
            "edge": {"type": "str", "default": ""},
            "edge_seconds": {"type": "int", "default": 300},
            "log_lines": {"type": "int", "default": 30},
            "healthy": {"type": "dict", "default": {}},
            "healthy_slot": {"type": "str", "default": ""},
            "restarts": {"type": "int", "default": 5},
        },
        supports_check_mode=True,
    )
    try:
        module.exit_json(changed=False, **observe(**module.params))
    except (EngineError, OSError, http.client.HTTPException) as error:
        module.fail_json(msg="The Docker Engine refused to be observed: %s" % error)


if __name__ == "__main__":
    main()
