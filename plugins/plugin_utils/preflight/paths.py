# MIT License (see LICENSE)
"""
What a path or a name from an inventory may be: the one judge of all that is written, mounted or deleted by it.
Preflight asks it, and every verb that removes something does before it looks at a host.
"""

from __future__ import annotations

import os
import re
import typing as t

from ansible_collections.broadcast.stack.plugins.plugin_utils.preflight.problems import Problem, shown
from ansible_collections.broadcast.stack.plugins.plugin_utils.preflight.trees import leaves

# Directories of the system, with everything in them.
SYSTEM = (
    *("/bin", "/boot", "/dev", "/etc", "/lib", "/lib32", "/lib64", "/proc", "/run", "/sbin", "/sys", "/usr"),
    *("/var/run", "/var/lock"),
)
# Where an Engine keeps images and volumes.
ENGINE = ("/var/lib/docker", "/var/lib/containerd", "/var/lib/containers")
# Directories that many share. Something in them may be the stack's, but never the directories themselves.
SHARED = frozenset(
    """
    / /home /media /mnt /opt /root /snap /srv /tmp /usr/local /var /var/backups /var/cache /var/lib /var/log /var/mail
    /var/opt /var/spool /var/tmp /var/www
    """.split()  # noqa: SIM905 - a list of words, not of syntax
)
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")
SLOT = re.compile(r"[a-z0-9]([a-z0-9-]{0,14}[a-z0-9])?")
# Words that may follow a container's name where a slot would.
NOT_SLOTS = frozenset({"release", "check", "run", "test", "temp", "static", "socket", "volumes"})
NAMESPACE = re.compile(r"[a-z0-9]+((\.|_|__|-+|:|/)[a-z0-9]+)*")
# Engine's words for networks that are no network of a stack.
NO_NETWORKS = frozenset({"bridge", "default", "host", "none"})
OWN_DIRECTORIES = ("stack_root", "container_root")
CONTROLLER_DIRECTORIES = ("stack_fleet_ca_dir", "certificates_dir", "nginx_tls_local_ca_dir")

Fault = tuple[str, str] | None


def inside(path: str, directory: str) -> bool:
    return path == directory or path.startswith(directory.rstrip("/") + "/")


def form_fault(path: t.Any) -> Fault:
    """Whether a text is an absolute path in its shortest form."""
    text = str(path)
    if not isinstance(path, str) or not text.startswith("/") or text.startswith("//"):
        return "is no absolute path", "write it as /opt/shop"
    if re.search(r"[\x00-\x1f\x7f:]", text) or text != text.strip():
        return "holds a colon, a blank at an end or a control character", "write it as /opt/shop"
    if os.path.normpath(text) != text:
        return "is not in its shortest form", "write it as %s" % os.path.normpath(text)
    return None


def own_directory_fault(path: t.Any) -> Fault:
    """A directory on a host that a stack has for itself: it is filled by runs and emptied when the stack is removed."""
    if fault := form_fault(path):
        return fault
    path = os.path.normpath(path)
    remedy = "give the stack a directory of its own, such as /opt/shop"
    if path in SHARED or (inside(path, "/home") and path.count("/") == 2):
        return "is a directory that others share", remedy
    if any(inside(path, one) for one in SYSTEM if one != "/usr") or (
        inside(path, "/usr") and not inside(path, "/usr/local")
    ):
        return "lies in a directory of the system's own", remedy
    if any(inside(path, one) for one in ENGINE):
        return "lies where a container engine keeps its data", remedy
    return None


def controller_directory_fault(path: t.Any) -> Fault:
    """A directory on the controller that keys and certificates are written into."""
    if fault := form_fault(path):
        return fault[0], 'write it as "{{ inventory_dir }}/.pki"'
    path = os.path.normpath(path)
    if path in SHARED or any(inside(path, one) for one in SYSTEM if one not in ("/etc", "/usr")) or path == "/etc":
        return "is a directory of the system's own", "give it a directory of its own, such as inventories/prod/.pki"
    return None


def name_fault(name: t.Any) -> Fault:
    """The name of a container or its first part: a folder of that name is written and deleted, too."""
    remedy = "use letters, digits, hyphens, dots and underscores, a letter or digit first"
    if not isinstance(name, str) or not NAME.fullmatch(name):
        return "is no name for containers and their folders", remedy
    return None


def volume_fault(name: t.Any) -> Fault:
    """A volume of Docker's; a path in its place would be mounted from the host, and its owner changed."""
    if not isinstance(name, str) or not NAME.fullmatch(name):
        return "is no name of a volume", "use letters, digits, hyphens, dots and underscores: a directory is none"
    return None


def namespace_fault(name: t.Any) -> Fault:
    """First part of the names of images; those that begin with it are removed with the stack."""
    if not isinstance(name, str) or not NAMESPACE.fullmatch(name):
        return "is no first part of an image's name", "use lower-case letters and digits, such as shop or acme/shop"
    return None


def network_fault(name: t.Any) -> Fault:
    if not isinstance(name, str) or not NAME.fullmatch(name):
        return "is no name of a network", "use letters, digits, hyphens, dots and underscores"
    if name in NO_NETWORKS:
        return "is a network of Docker's own, and that isolates nothing", "name one of docker_host_networks"
    return None


def slot_problems(slots: t.Any) -> list[Problem]:
    subject = "stack_release_slots"
    if not isinstance(slots, list):
        return []
    problems = []
    for slot in dict.fromkeys(map(str, slots)):
        if not SLOT.fullmatch(slot):
            remedy = "use up to 16 lower-case letters, digits and hyphens, such as blue"
            problems.append(Problem(subject, "is no name of a slot", remedy, shown(slot)))
        elif slot in NOT_SLOTS:
            text = "is the ending of other names of the stack's"
            problems.append(Problem(subject, text, "choose another one, such as blue", shown(slot)))
        elif list(map(str, slots)).count(slot) > 1:
            problems.append(Problem(subject, "is listed twice", "list each slot once", shown(slot)))
    if len(slots) == 1:
        remedy = "list two or more, or [] to replace containers in place"
        problems.append(Problem(subject, "leaves no slot for the next release", remedy, shown(slots)))
    return problems


def judge_of(name: str) -> t.Callable[[t.Any], Fault] | None:
    """The rule for a variable by its name; None when its value is neither path nor name."""
    if name in OWN_DIRECTORIES:
        return own_directory_fault
    if name in CONTROLLER_DIRECTORIES:
        return controller_directory_fault
    if name == "stack_image_namespace":
        return namespace_fault
    if name.endswith(("_container_name", "_container_prefix", "_process_prefix")):
        return name_fault
    if name.endswith("_volume"):
        return volume_fault
    return None


def judged(name: str) -> bool:
    """Whether a variable has a rule here."""
    return (
        name in ("stack_name", "stack_release_slots", "backups_volumes")
        or name.endswith("_networks")
        or judge_of(name) is not None
    )


def path_problems(values: t.Mapping[str, t.Any]) -> list[Problem]:
    """All paths and names in a host's variables. values: those that could be evaluated; None where there is none."""
    problems = []
    for name, value in values.items():
        if value is None:
            continue
        if name == "stack_name":
            problems += stack_name_problems(str(value))
        elif name == "stack_release_slots":
            problems += slot_problems(value)
        elif name == "backups_volumes":
            for path, text in leaves(value, name):
                if fault := volume_fault(text):
                    problems.append(Problem(path, *fault, shown(text)))
        elif name.endswith("_networks"):
            for network in value if isinstance(value, list) else []:
                wanted = network.get("name") if hasattr(network, "get") else network
                if fault := network_fault(wanted):
                    problems.append(Problem(name, *fault, shown(wanted)))
        elif judge := judge_of(name):
            # Empty means "none" where a role allows it. The role itself decides that.
            needed = name in OWN_DIRECTORIES or name == "stack_image_namespace"
            if (value != "" or needed) and (fault := judge(value)):
                problems.append(Problem(name, *fault, shown(value)))
    return problems


STACK_NAME = re.compile(r"[a-z][a-z0-9-]{0,30}[a-z0-9]")


def stack_name_problems(stack_name: str) -> list[Problem]:
    if not STACK_NAME.fullmatch(stack_name):
        remedy = "use 2 to 32 lower-case letters, digits and hyphens, a letter first, no hyphen last"
        return [Problem("stack_name", "not a name for containers and networks", remedy, shown(stack_name))]
    if not re.search(r"[^0-9a-f]", stack_name):
        remedy = "add a letter beyond f, since Docker would take such a name for the beginning of a container's id"
        return [Problem("stack_name", "consists of hexadecimal digits only", remedy, shown(stack_name))]
    return []
