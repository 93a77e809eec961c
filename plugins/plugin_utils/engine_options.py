# MIT License (see LICENSE)
"""Options of a Docker Engine that others may have configured: what is there is merged with what a stack needs.

An option is a flag of the running Engine or of its service, or a key of its file; the Engine does not start with one
that is both.
"""

from __future__ import annotations

import copy
import json
import re

from ansible_collections.broadcast.stack.plugins.module_utils.engine_configuration import DEFAULTS, FILE, flags

# Without live-restore everybody's containers stop when the Engine is restarted or upgraded.
NEEDED = {"live-restore": True}
# An Engine that is there already has its own way to publish ports, which works as well.
OF_A_NEW_ENGINE = {"userland-proxy": False}
# The file that the first versions wrote, without what the inventory added. They knew no options of others.
FIRST_VERSIONS = {
    "live-restore": True,
    "log-driver": "json-file",
    "log-opts": {"max-size": "10m", "max-file": "3"},
    "no-new-privileges": True,
    "userland-proxy": False,
}
# Another value of these options shows the Engine another place or form of its data, and its images and volumes seem
# gone.
DATA = (
    "containerd",
    "containerd-namespace",
    "containerd-plugins-namespace",
    "data-root",
    "exec-root",
    "features",
    "graph",
    "storage-driver",
    "storage-opts",
    "userns-remap",
)
# The Engine takes these options from its file while it runs. For other options it is restarted, and also when one of
# these was removed from the file: a reload keeps its value.
RELOADED = {
    "allow-nondistributable-artifacts",
    "authorization-plugins",
    "debug",
    "default-runtime",
    "insecure-registries",
    "labels",
    "live-restore",
    "max-concurrent-downloads",
    "max-concurrent-uploads",
    "max-download-attempts",
    "registry-mirrors",
    "runtimes",
    "shutdown-timeout",
}


def given_by(values: list[str], wished: object) -> bool:
    """Whether flags already say what is wished."""
    if isinstance(wished, bool):
        return values[-1].lower() in (("true", "1", "t") if wished else ("false", "0", "f"))
    if isinstance(wished, dict):
        return {"%s=%s" % item for item in wished.items()} <= set(values)
    if isinstance(wished, list):
        return {str(item) for item in wished} <= set(values)
    return values[-1] == str(wished)


def joined(present: object, wished: object) -> object:
    """What is there, with what is wished: dictionaries by key, lists one behind the other, all else as wished."""
    if isinstance(present, dict) and isinstance(wished, dict):
        return {**present, **{key: joined(present.get(key), value) for key, value in wished.items()}}
    if isinstance(present, list) and isinstance(wished, list):
        return present + [item for item in wished if item not in present]
    return copy.deepcopy(wished)


def without(present: dict, written: dict, wished: dict) -> dict:
    """What is there, without what a stack has written and does not wish any more."""
    result = {}
    for key, value in present.items():
        ours, wanted = written.get(key), wished.get(key)
        if key not in written:
            result[key] = value
        elif isinstance(value, dict) and isinstance(ours, dict):
            if (kept := without(value, ours, wanted if isinstance(wanted, dict) else {})) or key in wished:
                result[key] = kept
        elif isinstance(value, list) and isinstance(ours, list):
            items = wanted if isinstance(wanted, list) else []
            if (kept := [item for item in value if item not in ours or item in items]) or key in wished:
                result[key] = kept
        elif key in wished or value != ours:
            result[key] = value
    return result


def contributed(present: dict, wished: dict, before: dict) -> dict:
    """Of what is wished, what is not there yet or was written by the stack before: its note."""
    found = {}
    for key, value in wished.items():
        there, ours = present.get(key), before.get(key)
        if isinstance(value, dict) and isinstance(there, dict):
            part = contributed(there, value, ours if isinstance(ours, dict) else {})
        elif isinstance(value, list) and isinstance(there, list):
            part = [item for item in value if item not in there or item in (ours if isinstance(ours, list) else [])]
        else:
            part = value if there != value or key in before else None
        if part or (part is not None and not isinstance(part, (dict, list))):
            found[key] = part
    return found


def shown(value: object) -> str:
    """A value as a plan shows it, without the passwords of addresses."""
    return re.sub(r"//[^/@\s\"]+@", "//***@", json.dumps(value, sort_keys=True))


def parsed(path: str, text: str | None) -> dict:
    """The options of a file. Raises ValueError with file, line and reason."""
    if not (text or "").strip():
        return {}
    try:
        value = json.loads(text)
    except json.JSONDecodeError as error:
        raise ValueError("%s:%d: no valid JSON (%s)" % (path, error.lineno, error.msg)) from error
    if not isinstance(value, dict):
        raise ValueError("%s:1: no JSON object" % path)
    return value


def of_first_versions(text: str | None, present: dict, options: dict) -> bool:
    """Whether a version wrote the file that wrote all of it: by its form and by the values that it always had."""
    if text != json.dumps(present, indent=2, sort_keys=True) + "\n":
        return False
    return all(present.get(key) == value for key, value in FIRST_VERSIONS.items() if key not in options)


def has_data(observation: dict) -> bool:
    """Whether an Engine has something that could seem gone; one that does not run may have."""
    engine = observation["engine"]
    kinds = ("containers", "images", "volumes")
    return engine["installed"] and (not engine["running"] or any(observation.get(kind) for kind in kinds))


def merge(observation: dict, options: dict) -> dict:
    """What becomes of an Engine's options on a host: {text, note, changes, restart, problems}.

    observation: result of stack_info. options: docker_host_daemon_options. text: of the file, note: of the file that
    remembers what was written; changes: a sentence for each key; restart: whether a reload does not suffice; problems:
    sentences "subject: what; remedy" that forbid any of it.
    """
    engine, seen = observation["engine"], observation["engine"]["configuration"]
    path = seen["path"]
    result = {"text": seen["text"] or "", "note": seen["note"] or "", "changes": [], "restart": False, "problems": []}
    try:
        if seen["error"]:
            raise ValueError("%s: cannot be read (%s)" % (path, seen["error"]))
        present = parsed(path, seen["text"])
    except ValueError as error:
        result["problems"].append("%s; mend the file: the Engine would not start with it either" % error)
        return result
    try:
        written = parsed("", seen["note"])
    except ValueError:
        # Then no option is taken for the stack's, so none is removed.
        written = {}
    if not written and of_first_versions(seen["text"], present, options):
        written = present
    needed = {} if engine.get("swarm") else NEEDED
    # Its own file, or one that somebody has put there for the Engine to come.
    new = {
        key: value
        for key, value in OF_A_NEW_ENGINE.items()
        if key in written or (not engine["installed"] and key not in present)
    }
    wished = {**needed, **new, **options}
    kept = without(present, written, wished)
    merged = joined(kept, wished)
    given = flags(seen["arguments"])
    for key in [key for key in merged if key in given and merged[key] != present.get(key)]:
        if given_by(given[key], wished[key]):
            del merged[key]
            wished.pop(key)
        else:
            result["problems"].append(
                "docker_host_daemon_options.%s: is %s by a flag of the Engine, %s is needed, and a flag and %s "
                "together keep it from starting; take the flag out of its service (systemctl cat docker, %s)"
                % (key, " ".join(given[key]), shown(merged[key]), path, DEFAULTS)
            )
    changed = sorted(key for key in {*present, *merged} if present.get(key) != merged.get(key))
    for key in changed:
        before, after = present.get(key), merged.get(key)
        if key not in merged:
            text = "%s goes, was %s" % (key, shown(before))
        else:
            text = "%s: %s%s" % (key, shown(after), " instead of %s" % shown(before) if key in present else "")
        result["changes"].append(text)
        actual = {"data-root": engine.get("data_root"), "graph": engine.get("data_root")}
        actual["storage-driver"] = engine.get("driver")
        if key in DATA and has_data(observation) and not (after and actual.get(key) == after):
            result["problems"].append(
                "docker_host_daemon_options.%s: %s instead of %s would hide the containers, images and volumes that "
                "this host's Engine has; move them yourself and set it in %s, or leave the option out"
                % (key, shown(after), shown(before) if key in present else "the Engine's own", path)
            )
    if engine.get("swarm") and merged.get("live-restore"):
        result["problems"].append(
            "docker_host_daemon_options.live-restore: the Engine is in Swarm mode and does not start with it; "
            "take it out"
        )
    if changed:
        result["text"] = json.dumps(merged, indent=2, sort_keys=True) + "\n"
        result["restart"] = not set(changed) <= RELOADED & set(merged)
        note = contributed(kept, wished, written)
        result["note"] = json.dumps(note, indent=2, sort_keys=True) + "\n" if note else ""
    return result


def nameservers(observation: dict) -> list[str]:
    """Name servers that the Engine was told for its containers."""
    seen = observation["engine"].get("configuration") or {}
    try:
        listed = parsed(seen.get("path", FILE), seen.get("text")).get("dns") or []
    except ValueError:
        listed = []
    return [*listed, *flags(seen.get("arguments") or []).get("dns", [])]


def option_problems(options: dict) -> list[str]:
    """What docker_host_daemon_options must not say on any host, as sentences "subject: what; remedy"."""
    found = []
    hosts = options.get("hosts") or []
    hosts = [hosts] if isinstance(hosts, str) else [str(host) for host in hosts]
    if hosts and "unix:///var/run/docker.sock" not in hosts:
        found.append(
            "docker_host_daemon_options.hosts: the stack reaches the Engine at unix:///var/run/docker.sock; "
            "list that as well"
        )
    return found


def host_problems(observation: dict, options: dict) -> list[str]:
    """Why an Engine that is there cannot run the stack as it is configured, whoever manages it."""
    engine, found = observation["engine"], []
    if engine.get("remaps_users"):
        found.append(
            "Docker Engine: maps the users of containers to others (userns-remap), while the stack's files and volumes "
            "belong to them by number; switch it off, or use another host"
        )
    seen = engine.get("configuration") or {}
    try:
        present = parsed(seen.get("path", FILE), seen.get("text"))
    except ValueError:
        present = {}
    given = flags(seen.get("arguments") or [])
    if {**present, **options}.get("iptables") is False or given_by(given.get("iptables", ["true"]), wished=False):
        found.append(
            "Docker Engine: iptables is switched off, so containers get no published ports and no way out; "
            "remove the option from %s or from the Engine's flags" % seen.get("path", FILE)
        )
    if not engine["installed"] and seen.get("systemd") and "hosts" in options:
        found.append(
            "docker_host_daemon_options.hosts: the package's unit has the flag -H, and the Engine does not start with "
            "both; use a drop-in of docker.service instead"
        )
    return found
