# MIT License (see LICENSE)
"""What is known of variables: argument specifications of the stack's shared ones and of the collection's roles."""

from __future__ import annotations

import pathlib
import re
import typing as t

import yaml

COLLECTION = pathlib.Path(__file__).resolve().parents[3]
LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def load_yaml(path: pathlib.Path) -> dict[str, t.Any]:
    return yaml.load(path.read_text(encoding="utf-8"), Loader=LOADER) or {}


class Specifications:
    """Argument specifications of the stack's shared variables and of the collection's roles."""

    def __init__(self, root: pathlib.Path) -> None:
        shared = load_yaml(root / "meta" / "stack_variables.yml")
        self.stack: dict[str, dict] = shared["argument_specs"]["main"]["options"]
        self.renamed: dict[str, str] = shared.get("renamed_variables") or {}
        self.deprecated: dict[str, str] = shared.get("deprecated_variables") or {}
        self.roles: dict[str, dict[str, dict]] = {}
        self.known: set[str] = set(self.stack)
        for path in sorted(root.glob("roles/*/meta/argument_specs.yml")):
            entries = load_yaml(path)["argument_specs"]
            self.roles[path.parts[-3]] = entries["main"]["options"]
            self.known.update(name for entry in entries.values() for name in entry.get("options") or {})
        # Pools, commands and instances have free names, so their options are described in the roles and not with the
        # variables.
        worker = load_yaml(root / "roles" / "celery_worker" / "vars" / "main.yml")
        redis = load_yaml(root / "roles" / "redis" / "vars" / "main.yml")
        self.entries: dict[str, dict[str, dict]] = {
            "backend_worker_pools": worker["__celery_worker_pool_options"],
            "backend_periodic_commands": worker["__celery_worker_periodic_options"],
            "redis_instances": redis["__redis_instance_options"],
        }
        # Names of the version before are judged as the entries of dictionaries that they are now.
        self.old: dict[str, dict[str, t.Any]] = {}
        for role in ("django_web", "celery_worker"):
            renamed = load_yaml(root / "roles" / role / "vars" / "main.yml")["__%s_renamed" % role]
            for part, names in renamed.items():
                entries = self.roles[role]["%s_%s" % (role, part)]["options"]
                self.old.update({name.split()[1]: entries[key] for key, name in names.items()})
        # The wiring may define helpers that no role takes.
        for wiring in root.glob("group_vars/shared/**/*.yml"):
            self.known.update(re.findall(r"^(\w+):", wiring.read_text(encoding="utf-8"), re.M))
        self.prefixes = ["stack_", "backend_", "secret_", *("%s_" % role for role in self.roles)]
