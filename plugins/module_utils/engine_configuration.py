# MIT License (see LICENSE)
"""What a Docker Engine on this host was configured with, by its file, its flags or its service."""

from __future__ import annotations

import glob
import os
import re
import shlex
import typing as t

FILE = "/etc/docker/daemon.json"
PID_FILE = "/run/docker.pid"
# Where options of the service are, beside the variable DOCKER_OPTS in DEFAULTS. The folders are in the service
# manager's order.
UNIT = "docker.service"
UNIT_FOLDERS = (
    "/etc/systemd/system",
    "/run/systemd/system",
    "/usr/local/lib/systemd/system",
    "/usr/lib/systemd/system",
    "/lib/systemd/system",
)
DEFAULTS = "/etc/default/docker"
DIRECTORY = "/etc/broadcast.stack"
SHORT_FLAGS = {
    "-D": "debug",
    "-G": "group",
    "-H": "hosts",
    "-b": "bridge",
    "-g": "data-root",
    "-l": "log-level",
    "-p": "pidfile",
    "-s": "storage-driver",
}
# A flag that may be given several times is a list in the file, with a plural for its name.
REPEATED_FLAGS = {
    "add-runtime": "runtimes",
    "authorization-plugin": "authorization-plugins",
    "default-address-pool": "default-address-pools",
    "default-ulimit": "default-ulimits",
    "dns-opt": "dns-opts",
    "exec-opt": "exec-opts",
    "feature": "features",
    "graph": "data-root",
    "host": "hosts",
    "insecure-registry": "insecure-registries",
    "label": "labels",
    "log-opt": "log-opts",
    "node-generic-resource": "node-generic-resources",
    "registry-mirror": "registry-mirrors",
    "storage-opt": "storage-opts",
}


def note_path(stack: str) -> str:
    """File with the options that a stack has written, so that one that it does not want any more can go."""
    return os.path.join(DIRECTORY, stack + ".daemon.json")


def text_of(path: str) -> str | None:
    """Text of a file, without a byte order mark; None when there is none. Raises OSError and UnicodeDecodeError."""
    try:
        with open(path, encoding="utf-8-sig") as stream:
            return stream.read()
    except FileNotFoundError:
        return None


def running(pid_file: str = PID_FILE, processes: str = "/proc") -> tuple[int, list[str]]:
    """Process id and arguments of the Engine on this host; 0 and none when it is not found."""
    for pid in candidates(pid_file, processes):
        try:
            with open(os.path.join(processes, pid, "cmdline"), "rb") as stream:
                words = [word.decode(errors="replace") for word in stream.read().split(b"\0")[:-1]]
        except OSError:
            continue
        if words and os.path.basename(words[0]) == "dockerd":
            return int(pid), words[1:]
    return 0, []


def candidates(pid_file: str, processes: str) -> t.Iterator[str]:
    """Processes that may be the Engine: that of its usual file, then all but those of nested hosts."""
    try:
        with open(pid_file) as stream:
            yield stream.read().strip()
    except OSError:
        pass
    own = namespace(processes, "self")
    for name in sorted(os.listdir(processes)):
        if name.isdigit() and own and namespace(processes, name) == own:
            yield name


def namespace(processes: str, pid: str) -> str:
    try:
        return os.readlink(os.path.join(processes, pid, "ns", "pid"))
    except OSError:
        return ""


def service_arguments(systemd: bool, root: str = "/") -> list[str]:
    """Arguments that the service gives the Engine: of its unit and drop-ins, or without systemd its defaults."""
    folders = [os.path.join(root, folder.lstrip("/")) for folder in UNIT_FOLDERS if systemd]
    units = [path for folder in folders if os.path.isfile(path := os.path.join(folder, UNIT))]
    # When drop-ins have the same name, that of the first folder counts.
    drop_ins = {
        os.path.basename(path): path
        for folder in reversed(folders)
        for path in glob.glob(os.path.join(folder, UNIT + ".d", "*.conf"))
    }
    command, variables = "dockerd $DOCKER_OPTS", assignments(text_of(os.path.join(root, DEFAULTS.lstrip("/"))) or "")
    for path in units[:1] + [drop_ins[name] for name in sorted(drop_ins)]:
        for line in (text_of(path) or "").replace("\\\n", " ").splitlines():
            key, _sep, value = line.strip().partition("=")
            if key == "ExecStart" and value.strip():
                command = value.strip()
            elif key == "Environment":
                variables.update(assignments("\n".join(shlex.split(value))))
            elif key == "EnvironmentFile":
                variables.update(assignments(text_of(os.path.join(root, value.strip().lstrip("-/"))) or ""))
    # A variable of its own word becomes several; within another one it stays a part of it.
    command = re.sub(r"\$(?:\{(\w+)\}|(\w+))", lambda match: variables.get(match[1] or match[2], ""), command)
    return shlex.split(command)[1:]


def assignments(text: str) -> dict[str, str]:
    """Variables of a file with lines NAME=value, whose values may be quoted."""
    pairs = (line.strip().partition("=") for line in text.splitlines() if not line.lstrip().startswith("#"))
    return {name.removeprefix("export ").strip(): value.strip().strip("\"'") for name, sep, value in pairs if sep}


def state(stack: str) -> dict:
    """What stack_info tells of an Engine's options on this host: path and text of its file, arguments, the note."""
    found = {"path": FILE, "text": None, "error": "", "pid": 0, "arguments": [], "note": None}
    found["systemd"] = os.path.isdir("/run/systemd/system")
    try:
        found["pid"], found["arguments"] = running()
        if not found["pid"]:
            found["arguments"] = service_arguments(found["systemd"])
        found["path"] = flags(found["arguments"]).get("config-file", [FILE])[-1]
        found["text"] = text_of(found["path"])
        found["note"] = text_of(note_path(stack))
    except (OSError, ValueError) as error:
        found["error"] = str(error)
    return found


def flags(arguments: list[str]) -> dict[str, list[str]]:
    """Key of the file to the values of the Engine's flags for it; of a flag without a value it is V(true)."""
    found: dict[str, list[str]] = {}
    for index, word in enumerate(arguments):
        if not word.startswith("-"):
            continue
        name, sep, value = word.partition("=")
        if not name.startswith("--") and len(name) > 2:
            name, sep, value = word[:2], "=", word[2:].removeprefix("=")
        if not sep:
            follows = arguments[index + 1 : index + 2]
            value = follows[0] if follows and not follows[0].startswith("-") else "true"
        name = SHORT_FLAGS.get(name, name.lstrip("-"))
        found.setdefault(REPEATED_FLAGS.get(name, name), []).append(value)
    return found
