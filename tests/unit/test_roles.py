"""The roles as data: interface, names and the rules of CONTRIBUTING.md that a machine can hold."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
# Any role may hand work to these.
INTERNAL = ("container", "certificates")
ROLES = sorted(path.name for path in (ROOT / "roles").iterdir() if path.is_dir())
# Rooms whose variables only inventories and the wiring file may name.
SHARED_PREFIXES = ("backend_", "stack_", "secret_")
# Keys of the dictionaries <role>_runtime, and no variables.
RUNTIME_KEYS = ("secret_env", "secret_files")


def load(path: Path):
    return yaml.safe_load(path.read_text()) if path.exists() else None


def role_files(role: str) -> list[Path]:
    found = [path for path in (ROOT / "roles" / role).rglob("*") if path.is_file() and path.suffix in (".yml", ".j2")]
    return [path for path in found if "meta" not in path.parts]


def specs(role: str) -> dict:
    return load(ROOT / "roles" / role / "meta" / "argument_specs.yml")["argument_specs"]


def options(role: str) -> dict:
    """Every public variable of a role, over all entry points."""
    merged: dict = {}
    for entry in specs(role).values():
        merged.update(entry.get("options", {}))
    return merged


@pytest.mark.parametrize("role", ROLES)
def test_defaults_and_argument_specs_name_the_same_variables(role):
    defaults = load(ROOT / "roles" / role / "defaults" / "main.yml") or {}
    declared = {name for name, option in options(role).items() if not option.get("required")}
    # A default that is computed has no literal counterpart, but still a place in defaults/main.yml.
    assert set(defaults) == declared


@pytest.mark.parametrize("role", ROLES)
def test_defaults_and_argument_specs_have_the_same_values(role):
    defaults = load(ROOT / "roles" / role / "defaults" / "main.yml") or {}
    different = {
        name: (value, options(role)[name].get("default"))
        for name, value in defaults.items()
        if name in options(role) and options(role)[name].get("default") != value
    }
    assert different == {}


@pytest.mark.parametrize("role", ROLES)
def test_every_option_has_a_type_and_a_description(role):
    def incomplete(prefix, found):
        for name, option in found.items():
            if "type" not in option or "description" not in option:
                yield prefix + name
            yield from incomplete(prefix + name + ".", option.get("options", {}))

    assert [name for entry in specs(role).values() for name in incomplete("", entry.get("options", {}))] == []


@pytest.mark.parametrize("role", ROLES)
def test_required_variables_stand_commented_out_in_the_defaults(role):
    text = (ROOT / "roles" / role / "defaults" / "main.yml").read_text()
    required = [name for name, option in specs(role)["main"].get("options", {}).items() if option.get("required")]
    assert [name for name in required if f"# {name}:" not in text] == []


@pytest.mark.parametrize("role", ROLES)
def test_a_role_names_no_variable_of_another_room(role):
    others = [f"{other}_" for other in ROLES if other not in (role, *INTERNAL)] + list(SHARED_PREFIXES)
    pattern = re.compile(r"(?<![\w./-])_{0,2}(" + "|".join(others) + r")\w+")
    found = [
        f"{path.relative_to(ROOT)}: {match.group(0)}"
        for path in role_files(role)
        for line in path.read_text().splitlines()
        if not line.lstrip().startswith("#")
        for match in pattern.finditer(line)
        if match.group(0) not in RUNTIME_KEYS
    ]
    assert found == []


@pytest.mark.parametrize("role", ROLES)
def test_a_role_fits_any_application(role):
    found = [
        f"{path.relative_to(ROOT)}: {line.strip()}"
        for path in role_files(role)
        for line in path.read_text().splitlines()
        if "broadcast" in line.replace("broadcast.stack", "")
    ]
    assert found == []


@pytest.mark.parametrize("role", ROLES)
def test_every_role_has_a_readme_and_a_scenario(role):
    assert (ROOT / "roles" / role / "README.md").exists()
    assert (ROOT / "molecule" / role / "molecule.yml").exists()


def test_no_set_fact_and_no_swallowed_error():
    pattern = re.compile(r"set_fact:|ignore_errors:|failed_when: *false")
    found = [
        f"{path.relative_to(ROOT)}: {line.strip()}"
        for folder in ("roles", "playbooks")
        for path in (ROOT / folder).rglob("*.yml")
        for line in path.read_text().splitlines()
        if pattern.search(line)
    ]
    assert found == []


def test_only_the_container_role_runs_containers():
    """down.yml removes them, restore.yml stops and starts them: no other file creates one."""
    found = [
        str(path.relative_to(ROOT))
        for path in (ROOT / "roles").rglob("*.yml")
        if re.search(r"community\.docker\.docker_container:", path.read_text()) and "container" not in path.parts
    ]
    assert found == []


def names_of_tasks(tasks: list[dict]) -> list[str]:
    nested = [names_of_tasks(task[part]) for task in tasks for part in ("block", "rescue", "always") if part in task]
    return [task.get("name", "") for task in tasks] + [name for names in nested for name in names]


def test_a_task_says_which_file_of_its_role_it_is_in():
    """`Retire | Stop ...`: a task of a run is found without a search. Names begin with a capital letter."""
    found = []
    for path in sorted((ROOT / "roles").glob("*/tasks/*.yml")):
        begin = "" if path.stem == "main" else path.stem.replace("_", " ").capitalize() + " | "
        for name in names_of_tasks(load(path)):
            if not re.fullmatch(re.escape(begin) + "[A-Z][^|]*", name):
                found.append(f"{path.relative_to(ROOT)}: {name}")
    assert found == []


def test_a_lint_rule_is_skipped_with_its_reason_on_the_line():
    listed = subprocess.run(["git", "ls-files", "*.py", "*.yml"], cwd=ROOT, capture_output=True, text=True, check=True)
    bare = re.compile("# no" r"qa(?!: *[A-Za-z0-9\[\]-]+(?:, *[A-Za-z0-9\[\]-]+)* +\W*\w)")
    found = [
        f"{name}: {line.strip()}"
        for name in listed.stdout.splitlines()
        if (ROOT / name).exists()
        for line in (ROOT / name).read_text().splitlines()
        if bare.search(line)
    ]
    assert found == []


def test_templates_say_that_they_are_managed():
    found = [
        str(path.relative_to(ROOT))
        for path in (ROOT / "roles").rglob("*.j2")
        if "ansible_managed" not in path.read_text().splitlines()[0]
    ]
    assert found == []


def test_the_tables_of_the_readmes_are_generated_from_the_specifications():
    done = subprocess.run([ROOT / "scripts" / "docs", "--check"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_each_role_has_its_file_of_wiring():
    """Variables of a role stand in the file that has its name, and what else is there is the wiring's own."""
    prefixes = {f"{role}_" for role in ROLES}
    found = {}
    for path in sorted((ROOT / "group_vars/shared").rglob("*.yml")):
        own = f"{path.stem}_" if path.parent.name == "roles" else ""
        foreign = [name for name in load(path) if any(name.startswith(one) for one in prefixes - {own})]
        if foreign:
            found[path.name] = foreign
    assert found == {}


def test_no_variable_of_the_wiring_is_written_twice():
    names = [name for path in (ROOT / "group_vars/shared").rglob("*.yml") for name in load(path)]
    assert sorted(names) == sorted(set(names))


def test_the_wiring_keeps_lists_in_the_order_of_the_inventory():
    """Ansible's filters of sets mix a list anew in every run, and what is rendered from it would always differ."""
    text = "\n".join(path.read_text() for path in (ROOT / "group_vars/shared").rglob("*.yml"))
    assert re.findall(r"\|\s*(?:difference|union|intersect|symmetric_difference)\b", text) == []
