# MIT License (see LICENSE)
"""
Guarantees of a stack that an inventory gives up: each is refused, or taken with its reason in stack_exceptions.
"""

from __future__ import annotations

import ipaddress
import os
import re
import typing as t

from ansible_collections.broadcast.stack.plugins.plugin_utils.preflight.networks import parsed_network
from ansible_collections.broadcast.stack.plugins.plugin_utils.preflight.paths import SHARED, SYSTEM, inside
from ansible_collections.broadcast.stack.plugins.plugin_utils.preflight.problems import Problem, shown, variable_of

EXCEPTIONS = "stack_exceptions"
MINIMUM_REASON_LENGTH = 10
# Sockets by which a container is root on its host.
SOCKETS = re.compile(r"/(docker|containerd|podman|crio|buildkitd)\.sock$")
# Directories of a host that hold its secrets or its system, beside those of SYSTEM.
PRIVATE = ("/root", "/var/lib/docker", "/var/lib/containerd", "/var/lib/containers", "/var/spool", "/var/log")
USER = re.compile(r"[1-9]\d{0,9}:[1-9]\d{0,9}")
USERS = ("stack_container_user", "container_user", "django_web_user", "celery_worker_user", "backups_volumes_user")
SSH = (
    *("ansible_ssh_args", "ansible_ssh_common_args", "ansible_ssh_extra_args"),
    *("ansible_host_key_checking", "ansible_ssh_host_key_checking"),
)
# Containers without a way out, unless stack_ways_out has the reason.
WAYS_OUT = ("nginx", "beat")
# Dictionaries of roles that name volumes and mounts.
STORAGES = ("django_web_storage", "celery_worker_storage")
BODY_SIZES = ("backend_upload_max_size", "nginx_tls_client_max_body_size")
# Options of an Engine's daemon.json, and what is lost by which values.
DAEMON_OPTIONS: dict[str, tuple[t.Callable[[t.Any], bool], str]] = {
    "hosts": (
        lambda value: any(not str(one).startswith(("unix://", "fd://")) for one in (listed(value) or [value])),
        "lets the network command the Engine, and so be root on the host",
    ),
    "seccomp-profile": (lambda value: "unconfined" in str(value), "lets containers call all of the kernel"),
    "no-new-privileges": (lambda value: not value, "lets processes of containers gain privileges"),
    "live-restore": (lambda value: not value, "ends all containers whenever the Engine restarts"),
    "iptables": (lambda value: not value, "takes the packet filter between containers away"),
    "ip6tables": (lambda value: not value, "takes the packet filter between containers away"),
    "insecure-registries": (bool, "pulls images from a registry that nobody has verified"),
    "userns-remap": (lambda value: str(value) == "host", "takes the mapping of users away"),
    "tlsverify": (lambda value: not value, "lets everybody command the Engine"),
    "privileged": (bool, "gives containers the host"),
    "group": (lambda value: str(value) not in ("docker", "root"), "makes its members root on the host"),
}


class Relaxed(t.NamedTuple):
    """A guarantee that a value gives up: where, what is lost, what to do instead."""

    subject: str
    text: str
    remedy: str
    value: t.Any
    # These are never accepted, whatever the reason.
    refused: bool = False


def listed(value: t.Any) -> list[t.Any]:
    return list(value) if isinstance(value, (list, tuple)) else []


def mapped(value: t.Any) -> t.Mapping[str, t.Any]:
    return value if isinstance(value, t.Mapping) else {}


def user_relaxed(name: str, value: t.Any) -> t.Iterator[Relaxed]:
    text = str(value)
    if value in (None, "") and name in ("stack_container_user", "container_user"):
        return
    if USER.fullmatch(text) and all(int(one) < 2**32 - 1 for one in text.split(":")):
        return
    fault = "not the uid:gid of an unprivileged user"
    remedy = 'write numbers above 0 in quotes, such as "10003:10003"; no container runs as root or in its group'
    yield Relaxed(name, fault, remedy, value, refused=True)


def ssh_relaxed(name: str, value: t.Any) -> t.Iterator[Relaxed]:
    """Whether Ansible talks to whoever answers in a host's place; sudo passwords and secrets go there."""
    off = str(value).strip().lower() in ("false", "no", "0", "off") and "host_key_checking" in name
    if off or re.search(r"StrictHostKeyChecking[= ]\"?(no|off)\b|UserKnownHostsFile[= ]\"?/dev/null", str(value), re.I):
        remedy = "put the host's key into known_hosts, or write StrictHostKeyChecking=accept-new"
        yield Relaxed(name, "sends secrets to whoever answers at the host's address", remedy, value)


def options_relaxed(name: str, value: t.Any) -> t.Iterator[Relaxed]:
    """Options of pgBackRest."""
    for key, entry in mapped(value).items():
        place, said = "%s.%s" % (name, key), str(entry).strip().lower()
        if re.search("-verify-(tls|ssl)$", str(key)) and said in ("n", "no", "false", "off", "0"):
            yield Relaxed(place, "sends backups to whoever answers at the repository's address", "take it out", entry)
        if re.search("cipher-type$", str(key)) and said == "none":
            yield Relaxed(place, "keeps backups that everybody can read", "take it out", entry)
        if str(key) in ("archive-check", "checksum-page") and said in ("n", "no", "false", "off", "0"):
            yield Relaxed(place, "keeps backups that nobody has verified", "take it out", entry)


def mount_relaxed(name: str, value: t.Any, development: bool = False) -> t.Iterator[Relaxed]:
    """Volumes as source:target[:mode] whose source is a directory of the host."""
    for text in filter(lambda one: isinstance(one, str), listed(value)):
        source = text.partition(":")[0]
        if not source.startswith(("/", ".", "~", "$")):
            continue
        path = os.path.normpath(source) if source.startswith("/") else source
        path = "/" + path.lstrip("/") if path.startswith("//") else path
        remedy = "mount a directory that holds only what the container needs, such as /srv/shop"
        if not source.startswith("/") or (path != source.rstrip("/") and source != "/"):
            text_lost = "mounts a path of the host that is not absolute and in its shortest form"
            yield Relaxed(name, text_lost, remedy, text, refused=True)
        elif SOCKETS.search(path):
            yield Relaxed(name, "hands the Engine, and so the host, to the container", "take it out", text)
        elif path in SHARED or (inside(path, "/home") and path.count("/") < 3) or path == "/":
            yield Relaxed(name, "mounts a directory of the host that others share", remedy, text)
        # A developer's checkout may lie in the folder of root.
        elif any(inside(path, one) for one in (SYSTEM if development else (*SYSTEM, *PRIVATE))):
            yield Relaxed(name, "mounts a directory of the host's system", remedy, text)


def published_relaxed(name: str, value: t.Any) -> t.Iterator[Relaxed]:
    """Ports of services that are for the stack alone, published where others reach them."""
    for text in map(str, listed(value)):
        outside = text.partition("/")[0].rpartition(":")[0]
        address = outside.rpartition(":")[0].strip("[]")
        remedy = "publish it at 127.0.0.1 or at the private address of the host, such as 127.0.0.1:5432:5432"
        try:
            parsed = ipaddress.ip_address(address or "0.0.0.0")
        except ValueError:
            yield Relaxed(name, "publishes at what is no address", remedy, text, refused=True)
            continue
        if parsed.is_unspecified or parsed.is_global:
            yield Relaxed(name, "publishes a service past the edge to everybody", remedy, text)


def daemon_relaxed(name: str, value: t.Any) -> t.Iterator[Relaxed]:
    for option, entry in mapped(value).items():
        lost, text = DAEMON_OPTIONS.get(str(option), (lambda _value: False, ""))
        if lost(entry):
            yield Relaxed("%s.%s" % (name, option), text, "take it out", entry)


def filter_relaxed(name: str, value: t.Any, development: bool) -> t.Iterator[Relaxed]:
    """No packet filter, but on a developer's machine, which is left alone."""
    if not mapped(value) and not development:
        text = (
            "lets the host's network reach web past the edge, containers the host and a cloud's metadata service, and "
            "nginx and others any network"
        )
        yield Relaxed(name, text, "take it out", value)


def ways_out_relaxed(name: str, value: t.Any) -> t.Iterator[Relaxed]:
    for who, reason in mapped(value).items():
        place = "%s.%s" % (name, who)
        if who not in WAYS_OUT:
            yield Relaxed(
                place,
                "is no container with a way out to choose",
                "name one of %s" % ", ".join(WAYS_OUT),
                reason,
                refused=True,
            )
        elif not isinstance(reason, str) or len(reason.strip()) < MINIMUM_REASON_LENGTH:
            yield Relaxed(place, "is no reason", "write why it opens connections to others", reason, refused=True)


def connections_relaxed(name: str, value: t.Any) -> t.Iterator[Relaxed]:
    """What the packet filter lets pass for the stack's containers; each has its reason, but for all the world."""
    for index, entry in enumerate(listed(value)):
        place, address = "%s[%d]" % (name, index), mapped(entry).get("address", "")
        network = parsed_network(str(address))
        ports = listed(mapped(entry).get("ports"))
        if network is None:
            yield Relaxed(place, "has no address", "write it as 192.0.2.7 or 192.0.2.0/24", address, refused=True)
        elif network.prefixlen < (8 if network.version == 4 else 32) and not ports:
            yield Relaxed(place, "opens nearly everything to containers", "name the addresses and ports", address)
        reason = mapped(entry).get("reason", "")
        if len(str(reason).strip()) < MINIMUM_REASON_LENGTH:
            yield Relaxed(place + ".reason", "is no reason", "write why containers connect there", reason, refused=True)
        for port in ports:
            if not str(port).isdigit() or not 0 < int(port) < 65536:
                yield Relaxed(place + ".ports", "is no port", "write it as 25", port, refused=True)


def size_relaxed(name: str, value: t.Any) -> t.Iterator[Relaxed]:
    if re.fullmatch(r"0+[kKmMgG]?", str(value)):
        yield Relaxed(name, "takes bodies of any size: 0 is no limit for nginx", "write it as 25m", value, refused=True)


def allowed_relaxed(name: str, value: t.Any) -> t.Iterator[Relaxed]:
    """Networks that pass while maintenance is on."""
    for text in map(str, listed(value)):
        network = parsed_network(text)
        if text == "all" or (network and network.prefixlen < (8 if network.version == 4 else 32)):
            text_lost = "lets nearly everybody pass, so there is no maintenance"
            yield Relaxed(name, text_lost, "name the addresses of those who look, such as 192.0.2.7", text)


def proxies_relaxed(name: str, value: t.Any) -> t.Iterator[Relaxed]:
    for text in map(str, listed(value)):
        network = parsed_network(text)
        if text == "*" or (network and network.prefixlen < (8 if network.version == 4 else 32)):
            yield Relaxed(name, "believes everybody's X-Forwarded-Proto", "name the network of the edge", text)


def headers_relaxed(name: str, value: t.Any) -> t.Iterator[Relaxed]:
    """Strict-Transport-Security that is off; a short one is how it begins."""
    age = re.search(r"max-age=\"?(\d+)", str(value))
    if not age or not int(age[1]):
        remedy = "write it as max-age=63072000"
        yield Relaxed(name, "lets browsers come without TLS", remedy, value)


def postgres_settings_relaxed(name: str, value: t.Any) -> t.Iterator[Relaxed]:
    """Settings by which committed data is lost, or passwords travel in the open."""
    off = ("off", "false", "no", "0", "f", "n")
    for key, entry in mapped(value).items():
        if str(key).lower() in ("fsync", "full_page_writes") and str(entry).lower() in off:
            yield Relaxed("%s.%s" % (name, key), "loses the database at a crash", "take it out", entry)
        if str(key).lower() == "synchronous_commit" and str(entry).lower() in off:
            yield Relaxed("%s.%s" % (name, key), "loses committed rows at a crash", "take it out", entry)
        if str(key).lower() == "password_encryption" and str(entry).lower() != "scram-sha-256":
            yield Relaxed("%s.%s" % (name, key), "keeps passwords that can be read", "take it out", entry)
        if str(key).lower() in ("archive_mode", "archive_command") and str(entry).lower() in (*off, "", "/bin/true"):
            yield Relaxed("%s.%s" % (name, key), "ends the archive that backups need", "take it out", entry)


def judge_of(name: str) -> t.Callable[[str, t.Any], t.Iterator[Relaxed]] | None:
    if name in USERS:
        return user_relaxed
    if name.endswith("_published_ports"):
        return published_relaxed
    if name == "backend_mounts":
        return mount_relaxed
    if name.endswith("_volumes") and name not in ("backend_volumes", "backend_backup_volumes", "backups_volumes"):
        return mount_relaxed
    return {
        "docker_host_daemon_options": daemon_relaxed,
        "docker_host_firewall": filter_relaxed,
        "nginx_tls_maintenance_allow": allowed_relaxed,
        "stack_allowed_connections": connections_relaxed,
        "stack_ways_out": ways_out_relaxed,
        "django_web_trusted_proxies": proxies_relaxed,
        "nginx_tls_hsts": headers_relaxed,
        "postgres_settings": postgres_settings_relaxed,
        **dict.fromkeys(("backups_options", "postgres_backup_options"), options_relaxed),
        **dict.fromkeys(SSH, ssh_relaxed),
        **dict.fromkeys(BODY_SIZES, size_relaxed),
    }.get(name)


def all_relaxed(values: t.Mapping[str, t.Any], environment: str) -> t.Iterator[Relaxed]:
    development = environment == "dev"
    for name, value in values.items():
        judge = judge_of(name) if value is not None else None
        if judge is mount_relaxed:
            yield from mount_relaxed(name, value, development)
        elif judge is filter_relaxed:
            yield from filter_relaxed(name, value, development)
        elif judge and not (development and judge is headers_relaxed):
            yield from judge(name, value)
        if name == "redis_instances":
            for instance, entry in mapped(value).items():
                place = "%s.%s.published_ports" % (name, instance)
                yield from published_relaxed(place, mapped(entry).get("published_ports"))
        if name in STORAGES:
            judged = listed(values.get("backend_mounts"))
            volumes = [one for one in listed(mapped(value).get("volumes")) if one not in judged]
            yield from mount_relaxed("%s.volumes" % name, volumes, development)
        if name == "django_web_server":
            yield from proxies_relaxed("%s.trusted_proxies" % name, mapped(value).get("trusted_proxies"))
        if name == "backend_processes":
            for process, entry in mapped(value).items():
                place = "%s.%s.volumes" % (name, process)
                yield from mount_relaxed(place, mapped(entry).get("volumes"))


def guarantee_problems(values: t.Mapping[str, t.Any], environment: str) -> list[Problem]:
    """values: a host's variables by name, those that could be evaluated; stack_exceptions among them."""
    reasons = mapped(values.get(EXCEPTIONS))
    problems: dict[Problem, None] = {}
    used = set()
    for one in all_relaxed(values, environment):
        keys = {one.subject, variable_of(one.subject)} & set(reasons)
        used |= keys
        if one.refused or not keys:
            remedy = one.remedy
            if not one.refused:
                remedy += ", or give the reason in %s.%s" % (EXCEPTIONS, variable_of(one.subject))
            problems[Problem(one.subject, one.text, remedy, shown(one.value))] = None
    for key, reason in reasons.items():
        subject = "%s.%s" % (EXCEPTIONS, key)
        if key not in used:
            text = "excuses nothing: no value of %s gives up a guarantee" % key
            problems[Problem(subject, text, "take it out")] = None
        elif not isinstance(reason, str) or len(reason.split()) < 2 or len(reason.strip()) < MINIMUM_REASON_LENGTH:
            remedy = "write a sentence that the next reader understands"
            problems[Problem(subject, "is no reason", remedy, shown(reason))] = None
    return list(problems)
