"""What roles hand to the role `container`, evaluated as on a host: for the policy's tests and tests/specifications."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import jinja2
import yaml
from ansible.inventory.manager import InventoryManager
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar, trust_as_template
from ansible.vars.hostvars import HostVars
from ansible.vars.manager import VariableManager

# The register, read without the collection: tests/specifications evaluates other versions of that.
REGISTER = yaml.safe_load((Path(__file__).resolve().parents[2] / "meta" / "services.yml").read_text())
# Role to the groups on whose hosts it runs containers.
GROUPS = {
    role: tuple([entry["group"]] if "group" in entry else entry["on_hosts_of"])
    for role, entry in REGISTER.items()
    if {"group", "on_hosts_of"} & set(entry)
}
# By what name a role hands long-lived containers over, and by what one that runs once.
LONG_LIVED, ONCE = "container_specs", "container_run"
# A host on which nothing is there yet.
OBSERVATION = {
    "engine": {"running": True, "api_version": "1.45"},
    "host": {"memory_mb": 8192, "cpus": 4, "uid": 0},
    "files": {},
    "containers": {},
    "images": {},
    "networks": {},
    "volumes": {},
}
SECRETS = (
    "django_key",
    "postgres_superuser",
    "postgres_owner",
    "postgres_application",
    "redis_broker",
    "redis_cache",
    "backups_cipher",
    "admin",
)
CANARIES = {f"secret_{name}": "canary-" + name for name in SECRETS}
# What an application may ask for and the inventories leave out.
FEATURES = {
    "backend_processes": {"mail": {"command": ["true"]}},
    "backend_periodic_commands": {"tidy": {"command": ["true"], "every": 60}},
    "backend_release_commands_after": [["true"]],
    "backend_secret_env": {"TOKEN": "canary-token"},
    "backend_secret_files": {"/etc/app.ini": "canary-file"},
}


def tasks_of(entries: list[dict]) -> Iterator[dict]:
    """Tasks of a file, those within blocks as well."""
    for entry in entries or []:
        yield entry
        for part in ("block", "rescue", "always"):
            yield from tasks_of(entry.get(part))


def loaded(loader: DataLoader, path: Path) -> dict | list:
    """A YAML file whose texts are templates, as those of roles and inventories are; without the file nothing."""
    return (loader.load_from_file(str(path), trusted_as_template=True) if path.exists() else None) or {}


def handed(root: Path, loader: DataLoader, role: str, what: str) -> Iterator[dict]:
    """Variables of each task by which a role hands LONG_LIVED or ONCE to the role `container`."""
    for path in sorted((root / "roles" / role / "tasks").glob("*.yml")):
        for task in tasks_of(loaded(loader, path)):
            if what in (task.get("vars") or {}):
                yield task["vars"]


def host_variables(loader: DataLoader, sources: list[Path], name: str = "") -> dict:
    """Raw variables of a host of an inventory, by default the first."""
    inventory = InventoryManager(loader, sources=[str(source) for source in sources])
    host = inventory.get_host(name) if name else inventory.get_hosts("all")[0]
    manager = VariableManager(loader, inventory)
    return {**manager.get_vars(host=host), "hostvars": HostVars(inventory, manager, loader)}


def scope(root: Path, loader: DataLoader, role: str, variables: dict, given: dict) -> dict:
    """Raw variables as the tasks of a role see them. given: what the play and its command line add."""
    folder = root / "roles" / role

    def load(path: Path) -> dict:
        return loaded(loader, path)

    # Precedence as in a play: the roles' defaults, the inventory, what a run adds, the roles' vars.
    return {
        **load(root / "roles" / "container" / "defaults" / "main.yml"),
        **load(folder / "defaults" / "main.yml"),
        **variables,
        "playbook_dir": str(root / "playbooks"),
        "container_role": role,
        "role_path": str(folder),
        "ansible_search_path": [str(folder)],
        "container_observation": OBSERVATION,
        **given,
        **load(root / "roles" / "container" / "vars" / "main.yml"),
        **load(folder / "vars" / "main.yml"),
    }


def evaluated(loader: DataLoader, variables: dict, expression: str) -> object:
    """Value of an expression as plain Ansible evaluates it."""
    return plain(Templar(loader, variables=variables).template(trust_as_template("{{ %s }}" % expression)))


def plain(value: object) -> object:
    """Without the containers of the templating engine, which evaluate their items when these are read."""
    if isinstance(value, dict):
        return {plain(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    return str(value) if isinstance(value, str) else value


def keep_compiled_templates() -> None:
    """Let each template be compiled once in this process: half of the time is compilation of what all hosts share."""
    compile_anew = jinja2.Environment.compile
    known = {}

    def compiled(self, source, name=None, filename=None, raw=False, defer_init=False):
        if not isinstance(source, str):
            return compile_anew(self, source, name, filename, raw, defer_init)
        delimiters = (self.variable_start_string, self.block_start_string, self.comment_start_string, self.trim_blocks)
        key = (type(self), str(source), name, filename, raw, defer_init, delimiters, self.lstrip_blocks)
        if key not in known:
            known[key] = compile_anew(self, source, name, filename, raw, defer_init)
        return known[key]

    jinja2.Environment.compile = compiled
