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
        timeouts run from the start of the module. It is also given up when a container is unhealthy, has ended for
        good, or ended and was restarted O(restarts) times meanwhile.
      - Logs of those that did not become healthy are returned as if named in O(logs).
    type: dict
    default: {}
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
  description: All containers of the Engine by name.
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

import glob
import hashlib
import http.client
import itertools
import json
import os
import re
import shutil
import socket
import struct
import time

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.broadcast.stack.plugins.module_utils import (
    engine_options,
    firewall,
    image_references,
    log_pipes,
    neighbors,
)
from ansible_collections.broadcast.stack.plugins.module_utils.engine import HOST_OPTION, Engine, EngineError, joined

LABEL_PREFIX = "broadcast.stack."
# Folder below the root with the state of releases, and how many records of it a run needs.
RELEASES = ".release"
JOURNAL_RECORDS = 30
# Bytes of a file with certificates. What is larger is a bundle of public authorities.
CERTIFICATES_SIZE = 65536
# Linux: enum TCP_LISTEN in include/net/tcp_states.h
TCP_LISTEN = "0A"


def file_state(path):
    status = os.stat(path)
    try:
        with open(path, "rb") as stream:
            digest = hashlib.sha256(stream.read()).hexdigest()
    except OSError:
        digest = None
    return {
        "sha256": digest,
        "mode": "%04o" % (status.st_mode & 0o7777),
        "uid": status.st_uid,
        "gid": status.st_gid,
    }


def environment_texts(root, files):
    """Container name to the text of its env file, which holds no secret: a plan names the variables that change."""
    texts = {}
    for path in files:
        name, _sep, rest = os.path.relpath(path, root).partition("/")
        if rest == "env/container.env":
            try:
                with open(path, encoding="utf-8") as stream:
                    texts[name] = stream.read()
            except OSError:
                continue
    return texts


def links_state(root):
    """Path to target of the symbolic links below the root."""
    paths = [os.path.join(folder, name) for folder, dirs, names in os.walk(root) for name in dirs + names]
    return {path: os.readlink(path) for path in paths if os.path.islink(path)}


def release_state(root):
    """What is known of releases on this host: the live one, and the journal by number and start."""
    folder = os.path.join(root, RELEASES)
    records = []
    for path in [os.path.join(folder, "current.json"), *sorted(glob.glob(os.path.join(folder, "journal", "*.json")))]:
        try:
            with open(path, encoding="utf-8") as stream:
                records.append(json.load(stream))
        except (OSError, ValueError):
            records.append(None)
    journal = [record for record in records[1:] if record]
    return {
        "current": records[0],
        "journal": sorted(journal, key=lambda record: (record["number"], record["started_at"]))[-JOURNAL_RECORDS:],
    }


def certificate_texts(files):
    """Path to PEM text of the files that hold certificates; one with a private key in it is left out."""
    texts = {}
    for path in files:
        try:
            with open(path, "rb") as stream:
                content = stream.read(CERTIFICATES_SIZE + 1)
        except OSError:
            continue
        if len(content) > CERTIFICATES_SIZE:
            continue
        if b"-----BEGIN CERTIFICATE-----" in content and b"PRIVATE KEY" not in content:
            texts[path] = content.decode(errors="replace")
    return texts


def answers(engine, ask, containers):
    """Container to what its command answered; of running containers only."""
    found = {}
    for name, command in ask.items():
        if containers.get(name, {}).get("status") == "running":
            try:
                code, output, errors = engine.answer(name, command)
            except (EngineError, OSError, http.client.HTTPException) as error:
                code, output, errors = -1, "", str(error)
            found[name] = {"rc": code, "stdout": output, "stderr": errors}
    return found


def files_state(root, paths):
    found = [os.path.join(folder, name) for folder, _dirs, names in os.walk(root) for name in names]
    return {path: file_state(path) for path in sorted(found + paths) if os.path.isfile(path)}


def listening(tables=("/proc/net/tcp", "/proc/net/tcp6")):
    """TCP sockets that listen, as sorted unique {address, port}."""
    sockets = set()
    for table in tables:
        try:
            with open(table) as stream:
                rows = [line.split() for line in stream.readlines()[1:]]
        except OSError:
            continue
        for row in rows:
            if row[3] != TCP_LISTEN:
                continue
            address, _sep, port = row[1].partition(":")
            words = [struct.pack("=I", int(address[i : i + 8], 16)) for i in range(0, len(address), 8)]
            family = socket.AF_INET if len(words) == 1 else socket.AF_INET6
            sockets.add((socket.inet_ntop(family, b"".join(words)), int(port, 16)))
    return [{"address": address, "port": port} for address, port in sorted(sockets)]


def routes(table="/proc/net/route"):
    """IPv4 networks of the main routing table, {interface, network}."""

    def address(word):
        return socket.inet_ntoa(struct.pack("=I", int(word, 16)))

    with open(table) as stream:
        rows = [line.split() for line in stream.readlines()[1:]]
    return [
        {"interface": row[0], "network": "%s/%d" % (address(row[1]), bin(int(row[7], 16)).count("1"))} for row in rows
    ]


def addresses(table="/proc/net/fib_trie"):
    """IPv4 addresses of the host itself, sorted; those of the loopback network are everybody's."""
    try:
        with open(table) as stream:
            lines = stream.read().split("\n")
    except OSError:
        return []
    found = {above.split()[-1] for above, line in itertools.pairwise(lines) if line.strip() == "/32 host LOCAL"}
    return sorted(address for address in found if not address.startswith("127."))


def nameservers(files=("/etc/resolv.conf", "/run/systemd/resolve/resolv.conf")):
    """The host's name servers, of which a local one is in the second file only."""
    found = set()
    for path in files:
        try:
            with open(path) as stream:
                found.update(re.findall(r"^nameserver\s+(\S+)", stream.read(), re.M))
        except OSError:
            continue
    return sorted(found)


def firewall_state(stack, directory=firewall.DIRECTORY):
    """Digest of the stack's table in the kernel. Who has no rules in a file has none: most hosts start no program."""
    return firewall.live(stack) if os.path.exists(firewall.paths(stack, directory)["rules"]) else ""


def memory_mb():
    with open("/proc/meminfo") as stream:
        return int(re.search(r"^MemTotal:\s+(\d+) kB", stream.read(), re.M).group(1)) // 1024


def free_mb(path):
    while not os.path.exists(path):
        path = os.path.dirname(path)
    return shutil.disk_usage(path).free // 2**20


def container_state(entry, detail):
    labels = entry.get("Labels") or {}
    host = detail.get("HostConfig", {})
    state = detail.get("State", {})
    networks = detail.get("NetworkSettings", {}).get("Networks") or {}
    published = {port["PublicPort"] for port in entry.get("Ports") or [] if port.get("PublicPort")}
    if entry["State"] in ("running", "restarting"):
        # The Engine lists no ports of a container that it is about to start again, which takes them at every attempt.
        bindings = [row for rows in (host.get("PortBindings") or {}).values() for row in rows or []]
        published |= {int(row["HostPort"]) for row in bindings if row.get("HostPort")}
    return {
        "id": entry["Id"],
        "image": entry["Image"],
        "image_id": entry["ImageID"],
        "stack": labels.get(LABEL_PREFIX + "name", ""),
        "role": labels.get(LABEL_PREFIX + "role", ""),
        "checksum": labels.get(LABEL_PREFIX + "checksum", ""),
        "slot": labels.get(LABEL_PREFIX + "slot", ""),
        "release": int(labels.get(LABEL_PREFIX + "release") or 0),
        "exclusive": LABEL_PREFIX + "exclusive" in labels,
        "stand_in": labels.get(LABEL_PREFIX + "stand_in", ""),
        "status": entry["State"],
        "health": (state.get("Health") or {}).get("Status", ""),
        "networks": {name: value.get("IPAddress", "") for name, value in networks.items()},
        "published": sorted(published),
        "memory": host.get("Memory", 0),
        "nano_cpus": host.get("NanoCpus", 0),
        "pids_limit": host.get("PidsLimit") or 0,
        "restart_policy": host.get("RestartPolicy", {}).get("Name", ""),
        "restarts": detail.get("RestartCount", 0),
        "started_at": state.get("StartedAt", ""),
    }


def volume_state(entry):
    try:
        uid = os.stat(entry["Mountpoint"]).st_uid
    except OSError:
        uid = None
    return {"stack": (entry.get("Labels") or {}).get(LABEL_PREFIX + "name", ""), "uid": uid}


def container_log(engine, name, lines):
    """Status, exit code, last health check output and last log lines of a container; empty when there is none."""
    try:
        detail = engine.get("/containers/%s/json" % name)
        stream = engine.raw("/containers/%s/logs" % name, stdout=1, stderr=1, tail=lines)
    except EngineError:
        return {}
    state = detail["State"]
    checks = (state.get("Health") or {}).get("Log") or []
    return {
        "status": state.get("Status", ""),
        "exit_code": state.get("ExitCode", 0),
        "oom_killed": state.get("OOMKilled", False),
        "health": checks[-1]["Output"].strip() if checks else "",
        "log": (stream.decode(errors="replace") if detail["Config"].get("Tty") else joined(stream)).splitlines(),
    }


def oom_kills(pid, proc="/proc", cgroups="/sys/fs/cgroup"):
    """Processes of a container that the kernel killed for want of memory, as its control group counts them."""
    try:
        with open("%s/%d/cgroup" % (proc, pid)) as stream:
            lines = [line.rstrip("\n").split(":", 2) for line in stream]
    except OSError:
        return 0
    for _number, controllers, path in lines:
        if controllers in ("", "memory"):
            folder = "%s%s%s" % (cgroups, "/memory" if controllers else "", path)
            try:
                with open("%s/%s" % (folder, "memory.oom_control" if controllers else "memory.events")) as stream:
                    found = re.search(r"^oom_kill (\d+)$", stream.read(), re.M)
            except OSError:
                continue
            if found:
                return int(found.group(1))
    return 0


def edge_requests(engine, edge, seconds):
    """Requests of an edge's access log since so many seconds, and those that ended with an error of the server."""
    try:
        stream = engine.raw("/containers/%s/logs" % edge, stdout=1, since=int(time.time()) - seconds, tail=10000)
    except EngineError as error:
        return {"error": str(error)}
    statuses = re.findall(r'"status":"(\d{3})"', joined(stream, [1]))
    return {"total": len(statuses), "failed": sum(status >= "500" for status in statuses), "seconds": seconds}


def health_outcome(detail, restarts, restarts_before):
    """Why waiting for a container's health is over, V(healthy) or a reason; empty while it can still become healthy."""
    state = detail["State"]
    health = (state.get("Health") or {}).get("Status", "")
    if state["Status"] == "running" and health in ("healthy", "none", ""):
        return "healthy"
    if state["Status"] in ("exited", "dead") and not state.get("Restarting"):
        return "ended with exit code %s" % state.get("ExitCode", 0)
    if detail.get("RestartCount", 0) - restarts_before >= restarts:
        return "ended and was restarted %d times" % restarts
    if health == "unhealthy" and state["Status"] == "running":
        return "unhealthy"
    return ""


def wait_healthy(engine, healthy, restarts, pause=0.5):
    """Container name to V(healthy) or the reason why waiting was given up. healthy: name to seconds."""
    started = time.monotonic()
    outcomes, before, known = {}, {}, {}
    while len(outcomes) < len(healthy):
        for name, seconds in healthy.items():
            if name in outcomes:
                continue
            try:
                detail = engine.get("/containers/%s/json" % name)
            except EngineError as error:
                outcomes[name] = str(error)
                continue
            # After each start, of which there may be several.
            start = detail["State"].get("StartedAt")
            if start and known.get(name) != start:
                neighbors.forget(detail)
                log_pipes.enlarge(detail["State"].get("Pid", 0))
                known[name] = start
            found = health_outcome(detail, restarts, before.setdefault(name, detail.get("RestartCount", 0)))
            if not found and time.monotonic() - started > float(seconds):
                found = "still %s after %s seconds" % (
                    (detail["State"].get("Health") or {}).get("Status", detail["State"]["Status"]),
                    seconds,
                )
            if found:
                outcomes[name] = found
        if len(outcomes) < len(healthy):
            time.sleep(pause)
    return {name: outcomes[name] for name in healthy}


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
):
    waited = wait_healthy(Engine(docker_host), healthy, restarts) if healthy else {}
    installed = bool(shutil.which("dockerd", path=os.environ.get("PATH", "") + ":/usr/sbin:/usr/local/bin:/usr/bin"))
    result = {
        "engine": {
            "installed": installed,
            "running": False,
            "error": "",
            "configuration": engine_options.state(stack),
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
        result["containers"][name] = container_state(entry, detail)
        if ours and (question := entry["Labels"].get(LABEL_PREFIX + "observe")):
            own[name] = json.loads(question)
        if strain and ours and entry["State"] == "running":
            result["containers"][name]["oom_kills"] = oom_kills(detail["State"].get("Pid", 0))
    for entry in engine.get("/images/json"):
        image = {"id": entry["Id"], "size": entry["Size"]}
        references = image_references.listed(entry)
        if layers and references:
            image["layers"] = engine.get("/images/%s/json" % entry["Id"])["RootFS"].get("Layers") or []
        result["images"].update(dict.fromkeys(references, image))
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
