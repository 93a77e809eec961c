"""
The register of services: what it says exists, nothing else does, and a service that is added by CONTRIBUTING's list is
deployed.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import specified
import yaml
from ansible_collections.broadcast.stack.plugins.plugin_utils.images import catalog
from ansible_collections.broadcast.stack.plugins.plugin_utils.services import register

BIN = Path(sys.executable).parent
# A role that services use, and no service.
INTERNAL = {"container"}
# Images that no service runs: what others are made of, and the hosts of tests.
WITHOUT_SERVICE = {"base", "test_host"}


def files(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir() if path.is_dir() and not path.name.startswith(("_", "."))}


def plays(root: Path) -> list[dict]:
    """Plays of site.yml, with those of the release."""
    return [
        play
        for name in ("site", "transaction")
        for play in yaml.safe_load((root / f"playbooks/{name}.yml").read_text())
    ]


def played(root: Path) -> dict[str, set[str]]:
    """Role to the tags of the tasks of site.yml that import it."""
    found: dict[str, set[str]] = {}
    for play in plays(root):
        for task in specified.tasks_of(play.get("tasks")):
            name = task.get("ansible.builtin.import_role", {}).get("name", "").removeprefix("broadcast.stack.")
            found.setdefault(name, set()).update(task.get("tags", []))
    return found


def faults(root: Path) -> list[str]:
    """What of a service is missing, and what of it is there that the register does not know."""
    services = register.read(root / "meta" / "services.yml")
    roles, images = files(root / "roles") - INTERNAL, files(root / "docker") - WITHOUT_SERVICE
    tags, wiring = played(root), {path.stem for path in (root / "group_vars/shared/roles").glob("*.yml")}
    found = [f"roles/{name}: not in the register" for name in roles - {one.role for one in services}]
    found += [f"group_vars/shared/roles/{name}.yml: no such role" for name in wiring - roles - INTERNAL]
    found += [
        f"playbooks/site.yml: runs {name}, which the register does not know"
        for name in set(tags) - {one.role for one in services} - {""}
    ]
    found += [
        f"docker/{name}: no service runs it" for name in images - {image for one in services for image in one.images}
    ]
    for one in services:
        role = one.role
        found += [] if role in roles else [f"{role}: no role"]
        found += [f"{role}: no docker/{image}" for image in one.images if image not in images]
        found += [] if role in tags.get(role, ()) else [f"{role}: no play in site.yml with the tag {role}"]
        found += [] if role in wiring else [f"{role}: no wiring"]
        found += [] if (root / "molecule" / role / "molecule.yml").exists() else [f"{role}: no scenario"]
        variables = root / "roles" / role / "vars" / "main.yml"
        planned = variables.exists() and f"__{role}_plan:" in variables.read_text()
        found += [] if planned else [f"{role}: no __{role}_plan in vars/main.yml"]
    return sorted(found)


def test_each_service_of_the_register_is_whole_and_there_is_no_other(root):
    assert faults(root) == []


def test_every_group_that_the_register_names_is_made_by_a_service():
    for one in register.SERVICES:
        assert not (one.group and one.on_hosts_of), one.role
        assert set(one.on_hosts_of + one.clients) <= set(register.GROUPS), one.role


def test_every_image_of_a_service_has_a_name_in_the_catalogue():
    assert {image for one in register.SERVICES for image in one.images} <= set(catalog.IMAGES)


def test_an_entry_with_a_misspelled_property_is_refused(tmp_path):
    (tmp_path / "services.yml").write_text("memo: {gruop: memo}\n")
    with pytest.raises(TypeError, match="gruop"):
        register.read(tmp_path / "services.yml")


def test_hosts_of_a_service_are_those_of_its_groups_that_are_in_the_run():
    groups = {"postgres": ["db"], "redis": ["db"], "web": ["a", "b"], "edge": ["a", "e"]}
    found = register.service_hosts(groups, ["a", "db", "e"], fleet=False)
    assert list(found) == [one.role for one in register.SERVICES]
    assert (found["images"], found["certificates"]) == (["a", "db", "e"], [])
    assert (found["gateway"], found["django_web"], found["celery_worker"]) == (["db", "a"], ["a"], [])
    assert register.service_hosts(groups, ["a"], fleet=True)["certificates"] == ["a"]
    application = register.service_hosts(groups, ["a"], fleet=True, application=True)
    assert application == {"django_web": ["a"], "celery_worker": [], "nginx_tls": ["a"]}


def test_plays_are_for_the_groups_that_the_inventory_has():
    assert register.stack_pattern({"all": [], "web": ["a"], "backups": [], "redis": ["b"]}) == "redis:web:backups"
    assert register.stack_pattern({"web": ["a"], "redis": ["b"]}, used_data=True) == "redis"
    # A pattern of nothing would be one of all hosts.
    assert register.stack_pattern({"all": ["a"]}).split(":") == list(register.GROUPS)


# A service that is added by the list of CONTRIBUTING.md ---------------------------------------------------------------

ROLE = {
    "defaults/main.yml": """
---
# memo_image:
memo_container_name: memo
memo_memory: 64m
""",
    "meta/argument_specs.yml": """
---
argument_specs:
  main:
    short_description: Keep notes
    options:
      memo_image: {type: str, required: true, description: Whole reference of the image.}
      memo_container_name: {type: str, default: memo, description: Name of the container.}
      memo_memory: {type: str, default: 64m, description: Memory limit.}
""",
    "vars/main.yml": """
---
__memo_containers:
  - name: "{{ memo_container_name }}"
    image: "{{ memo_image }}"
    memory: "{{ memo_memory }}"
    user: "10009:10009"
    healthcheck: {test: [CMD, "true"]}
__memo_problems: "{{ [] if memo_memory is broadcast.stack.size else ['memo_memory: is not a size'] }}"
__memo_plan:
  comparison: >-
    {{ __memo_containers
    | broadcast.stack.container_comparison(container_observation, container_policy, container_settings) }}
""",
    "tasks/main.yml": """
---
- name: Run the memo
  ansible.builtin.import_role:
    name: broadcast.stack.container
    rolespec_validate: false
  vars: {container_role: memo, container_specs: "{{ __memo_containers }}"}
""",
    "README.md": "# memo\n",
}
PLAY = """
- name: Run the memo
  hosts: memo
  gather_facts: false
  vars: {stack_step: services}
  tasks:
    - name: End when nothing is to be done
      ansible.builtin.meta: end_play
      when: "'memo' not in stack_role_plans.due"
      tags: [always]

    - name: Run the memo
      ansible.builtin.import_role:
        name: broadcast.stack.memo
        rolespec_validate: false
      tags: [memo]
"""
WIRING = """---
memo_container_name: "{{ stack_name }}-memo"
memo_image: "{{ __stack_service_images.memo.reference }}"
"""
DOCKERFILE = """
ARG BASE_IMAGE
FROM ${BASE_IMAGE}
USER 10009:10009
CMD ["sleep", "infinity"]
"""


def append(path: Path, text: str) -> None:
    path.write_text(path.read_text() + text)


def add_role(checkout: Path) -> None:
    for name, text in ROLE.items():
        path = checkout / "roles/memo" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text.lstrip())


def add_image(checkout: Path) -> None:
    (checkout / "docker/memo").mkdir()
    (checkout / "docker/memo/Dockerfile").write_text(DOCKERFILE.lstrip())


def add_scenario(checkout: Path) -> None:
    (checkout / "molecule/memo").mkdir(parents=True)
    (checkout / "molecule/memo/molecule.yml").write_text("---\n")


# Path in CONTRIBUTING.md to what is done there.
STEPS: dict[str, Callable[[Path], None]] = {
    "roles/<name>/": add_role,
    "docker/<name>/Dockerfile": add_image,
    "meta/services.yml": lambda checkout: append(
        checkout / "meta/services.yml", "memo: {group: memo, images: [memo], hosts_max: 1}\n"
    ),
    "group_vars/shared/roles/<name>.yml": lambda checkout: (checkout / "group_vars/shared/roles/memo.yml").write_text(
        WIRING
    ),
    "playbooks/site.yml": lambda checkout: append(checkout / "playbooks/site.yml", PLAY),
    "molecule/<name>/": add_scenario,
}


@pytest.fixture(scope="module")
def checkout(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """As much of a checkout as plans a run, with an inventory that has a host for the service."""
    folder = tmp_path_factory.mktemp("checkout") / "shop"
    for name in ("playbooks", "plugins", "roles", "meta", "group_vars", "docker"):
        shutil.copytree(root / name, folder / name, symlinks=True)
    for path in root.glob("molecule/*/molecule.yml"):
        (folder / "molecule" / path.parent.name).mkdir(parents=True)
        shutil.copy(path, folder / "molecule" / path.parent.name)
    for name in ("ansible.cfg", "galaxy.yml", "scripts/vault-password-client"):
        (folder / name).parent.mkdir(exist_ok=True)
        shutil.copy(root / name, folder / name)
    (folder / "collections/ansible_collections/broadcast").mkdir(parents=True)
    (folder / "collections/ansible_collections/broadcast/stack").symlink_to("../../..")
    groups = {group: {"hosts": {"shop1": None}} for group in ("web", "edge", "memo")}
    variables = folder / "inventories/prod/group_vars/all"
    variables.mkdir(parents=True)
    (folder / "inventories/prod/hosts.yml").write_text(yaml.safe_dump({"all": {"children": groups}}))
    environment = {
        "ansible_connection": "local",
        "ansible_python_interpreter": sys.executable,
        "stack_name": "shop",
        "stack_root": str(folder / "root"),
        "backend_image": "registry.example.org/shop:1",
        "backend_domains": ["shop.example.org"],
        "backend_beat_enabled": False,
        "backend_default_secrets": {},
        **specified.CANARIES,
    }
    (variables / "10_env.yml").write_text(yaml.safe_dump(environment))
    return folder


def start(checkout: Path, playbook: str, *options: str) -> str:
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("ANSIBLE_", "DOCKER_"))}
    done = subprocess.run(
        [BIN / "ansible-playbook", checkout / playbook, "-i", checkout / "inventories/prod", *options],
        cwd=checkout,
        # A host without an Engine, whatever runs on this machine.
        env={**kept, "ANSIBLE_NOCOLOR": "1", "COLUMNS": "400", "DOCKER_HOST": f"unix://{checkout}/none.sock"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=180,
        check=False,
    )
    return done.stdout


def test_a_service_that_is_added_by_the_list_of_contributing_is_deployed(root, checkout):
    listed = (root / "CONTRIBUTING.md").read_text().partition("## A new service touches these places\n")[2]
    assert re.findall(r"^\d+\. `([^`]+)`", listed, re.M) == list(STEPS)
    missing = set()
    for add in STEPS.values():
        # Whoever stops here is told what is left to do.
        assert faults(checkout) or add is add_role
        add(checkout)
        missing.update(faults(checkout))
    assert {text.partition(":")[0] for text in missing} >= {"roles/memo", "docker/memo", "memo"}
    assert faults(checkout) == []

    # Preflight knows the group, validates the role's variables and asks for its problems.
    told = start(checkout, "playbooks/preflight.yml", "-e", "memo_memory=much")
    assert re.search("memo_memory .*: is not a size", told), told
    assert "group memo" not in told

    # It is in the plan of its host with its image, by the tasks that site.yml decides by.
    seen = {**specified.OBSERVATION, "release": {"current": None, "journal": []}, "links": {}}
    play = [
        {"ansible.builtin.import_tasks": "tasks/decide_release.yml"},
        {"ansible.builtin.debug": {"msg": "delivers {{ images_wanted | join(', ') }}"}, "vars": {"stack_fleet": True}},
    ]
    hosts = {"hosts": "{{ groups | broadcast.stack.stack_pattern }}", "gather_facts": False, "tasks": play}
    (checkout / "playbooks/decide.yml").write_text(yaml.safe_dump([hosts]))
    told = start(
        checkout, "playbooks/decide.yml", "--skip-tags=docker_host", "-e", json.dumps({"container_observation": seen})
    )
    assert "shop1: memo: create shop-memo: is missing" in told, told
    assert "delivers memo" in told, told
    listed = start(checkout, "playbooks/site.yml", "--list-hosts", "--tags=memo")
    assert re.search(r"\(memo\): Run the memo.*?hosts \(1\):\s+shop1", listed, re.S), listed
