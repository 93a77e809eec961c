"""The wiring of the stack: every inventory has it without a link, and what an inventory says itself wins."""

from __future__ import annotations

import configparser
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from ansible.inventory.manager import InventoryManager
from ansible.parsing.dataloader import DataLoader
from ansible.plugins.loader import vars_loader
from ansible.vars.manager import VariableManager

BIN = Path(sys.executable).parent
PLUGINS = "broadcast.stack.wiring, host_group_vars"
ONE, TWO = ("-i", "deploy/one"), ("-i", "deploy/one", "-i", "deploy/two")


def write(path: Path, content: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(yaml.safe_dump(content))


@pytest.fixture(scope="module")
def project(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository of a user's own with the installed collection and an ansible.cfg that enables the plugin."""
    folder = tmp_path_factory.mktemp("project")
    installed = folder / "installed/ansible_collections/broadcast/stack"
    for name in ("group_vars", "meta", "playbooks", "plugins", "roles"):
        shutil.copytree(root / name, installed / name, symlinks=True)
    configure(folder, PLUGINS)
    inventory = folder / "deploy/one"
    hosts = {group: {"hosts": {"one": None, "two": None}} for group in ("web", "postgres")}
    write(inventory / "hosts.yml", {"all": {"vars": {"backend_web_port": 1}, "children": hosts}})
    write(
        inventory / "group_vars/all/10_env.yml",
        dict.fromkeys(("stack_name", "backend_python", "backend_target", "backend_asgi"), "all"),
    )
    write(inventory / "group_vars/all/20_more.yml", dict.fromkeys(("backend_target", "backend_asgi"), "more"))
    write(inventory / "group_vars/web.yml", {"backend_python": "web", "backend_context": "web"})
    write(inventory / "host_vars/one.yml", {"backend_context": "host"})
    write(folder / "deploy/two/hosts.yml", {"web": {"hosts": {"one": None}}})
    write(folder / "deploy/two/group_vars/all.yml", {"backend_asgi": "second"})
    return folder


def configure(folder: Path, plugins: str) -> Path:
    path = folder / "ansible.cfg"
    path.write_text(
        f"[defaults]\ncollections_path = {folder}/installed\nvars_plugins_enabled = {plugins}\n"
        "inject_facts_as_vars = False\nduplicate_dict_key = error\n[inventory]\nany_unparsed_is_failed = True\n"
    )
    return path


def run(project: Path, program: str, *arguments: str, cwd: Path | None = None) -> subprocess.CompletedProcess:
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("ANSIBLE_", "DOCKER_"))}
    return subprocess.run(
        [BIN / program, *arguments],
        cwd=cwd or project,
        env={**kept, "ANSIBLE_CONFIG": str(project / "ansible.cfg"), "ANSIBLE_NOCOLOR": "1", "COLUMNS": "400"},
        capture_output=True,
        text=True,
        check=False,
        timeout=180,
    )


def host(project: Path, *arguments: str, cwd: Path | None = None) -> dict:
    done = run(project, "ansible-inventory", *arguments, cwd=cwd)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_every_value_of_the_wiring_arrives_as_it_is_written(project, root):
    written = {}
    for path in (root / "group_vars/shared").rglob("*.yml"):
        written |= yaml.safe_load(path.read_text())
    own = ("stack_name", "backend_asgi", "backend_context", "backend_python", "backend_target")
    found = host(project, *ONE, "--host", "one")
    assert {name: found[name] for name in written if name not in own} == {
        name: value for name, value in written.items() if name not in own
    }


def test_what_an_inventory_says_wins_in_ansibles_order(project):
    found = host(project, *ONE, "--host", "one")
    # Of the group all, with the later file, of a group and of the host.
    assert (found["stack_name"], found["backend_target"]) == ("all", "more")
    assert (found["backend_python"], found["backend_context"]) == ("web", "host")
    # Variables in hosts.yml lose against files of group_vars, and the wiring is like one of these.
    assert found["backend_web_port"] == 8000


def test_a_second_source_brings_no_wiring_over_what_the_first_says(project):
    found = host(project, *TWO, "--host", "one")
    assert (found["stack_name"], found["backend_target"], found["backend_asgi"]) == ("all", "more", "second")
    assert found["backend_web_port"] == 8000
    assert host(project, *TWO, "--host", "two")["stack_name"] == "all"


def test_several_inventories_of_one_process_have_it_each(project, root):
    loader = DataLoader()
    for sources, name in ((["one"], "more"), (["two", "one"], "more"), (["two"], "second"), (["one", "two"], "second")):
        inventory = InventoryManager(loader, sources=[str(project / "deploy" / source) for source in sources])
        for _time in range(2):
            found = VariableManager(loader, inventory).get_vars(host=inventory.get_host("one"))
            assert found["backend_asgi"] == name
            assert found["stack_release_slots"] == ["blue", "green", "amber"]


def test_a_play_sees_templates_from_any_working_directory(project, tmp_path):
    shown = "[postgres_container_name, backend_context, backend_asgi]"
    task = {"name": "Tell", "ansible.builtin.debug": {"var": shown}}
    write(tmp_path / "plays/play.yml", [{"hosts": "one", "gather_facts": False, "tasks": [task]}])
    # Files beside the playbook win over those of the inventory, the wiring does not.
    write(tmp_path / "plays/group_vars/all.yml", {"backend_asgi": "play"})
    sources = [part if part == "-i" else str(project / part) for part in TWO]
    done = run(project, "ansible-playbook", str(tmp_path / "plays/play.yml"), *sources, cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    for value in ("all-postgres", "host", "play"):
        assert value in done.stdout
    done = run(project, "ansible-playbook", str(tmp_path / "plays/play.yml"), "-i", "one,", cwd=tmp_path)
    assert "broadcast-postgres" in done.stdout, done.stdout + done.stderr


def test_a_link_of_before_does_no_harm(project):
    link = project / "deploy/one/group_vars/all/00_shared.yml"
    before = host(project, *TWO, "--list")
    link.symlink_to(project / "installed/ansible_collections/broadcast/stack/group_vars/shared.yml")
    try:
        assert link.exists()
        assert host(project, *TWO, "--list") == before
    finally:
        link.unlink()


@pytest.mark.parametrize(
    ("plugins", "sentence"),
    [
        ("host_group_vars", "vars_plugins_enabled = host_group_vars: the wiring of the stack was not loaded; write"),
        (
            "host_group_vars, broadcast.stack.wiring",
            "vars_plugins_enabled = host_group_vars, broadcast.stack.wiring: "
            "the wiring of the stack would win over the inventory; write",
        ),
        (PLUGINS, ""),
    ],
)
def test_an_ansible_cfg_without_the_wiring_is_refused(project, plugins, sentence):
    configure(project, plugins)
    try:
        done = run(project, "ansible-playbook", "broadcast.stack.check_run", *ONE)
    finally:
        configure(project, PLUGINS)
    output = done.stdout + done.stderr
    if sentence:
        remedy = f" `vars_plugins_enabled = {PLUGINS}` below [defaults] of your ansible.cfg."
        assert sentence + remedy in output
        assert "The run was started with 1 problem; nothing was changed." in output
    assert (done.returncode == 0) is (not sentence), output


def test_plugins_that_bring_variables_are_made_once(root):
    """Ansible asks them thousands of times in a run; making one anew each time took nine tenths of the answer."""
    settings = configparser.ConfigParser()
    settings.read(root / "ansible.cfg")
    names = settings["defaults"]["vars_plugins_enabled"].split(", ")
    assert names == ["broadcast.stack.vault_password", "broadcast.stack.wiring", "host_group_vars"]
    assert [name for name in names if vars_loader.get(name) is not vars_loader.get(name)] == []


# What only a run knows.
FOUND = ("container_observation", "container_run_result", "stack_role_plans", "stack_plan", "stack_release_back")


def test_the_wiring_says_nothing_that_only_plays_need(root):
    """Plays have what tasks found. Of the release, roles need lists of hosts and the slot."""
    texts = {path.name: path.read_text() for path in (root / "group_vars/shared").rglob("*.yml")}
    assert [(file, name) for file, text in texts.items() for name in FOUND if re.search(rf"\b{name}\b", text)] == []
    asking = {file for file, text in texts.items() if re.search(r"\bstack_release\b", re.sub(r"#.*", "", text))}
    assert asking == {"10_application.yml", "30_fleet.yml", "nginx_tls.yml"}


def given(node: object) -> Iterator[str]:
    """Names of all variables that plays, blocks and tasks give."""
    if isinstance(node, dict):
        yield from node.get("vars") or {}
        for value in node.values():
            yield from given(value)
    elif isinstance(node, list):
        for value in node:
            yield from given(value)


def test_no_play_gives_a_private_variable_of_the_wiring_another_value(root):
    files = [*(root / "playbooks").rglob("*.yml"), *(root / "molecule").glob("**/*.yml")]
    found = {path.name: set(given(list(yaml.load_all(path.read_text(), Plain)))) for path in files}
    assert {file: names for file, names in found.items() if any(name.startswith("__stack_") for name in names)} == {}


class Plain(yaml.SafeLoader):
    """Reads !vault and the like as nothing."""


Plain.add_multi_constructor("!", lambda _loader, _suffix, _node: None)


def test_every_play_that_tells_of_a_release_has_its_variables(root):
    """Ansible goes on without a file of variables that it does not find."""
    names = set(yaml.safe_load((root / "playbooks/vars/release.yml").read_text()))
    tasks = {path.name: path.read_text() for path in (root / "playbooks/tasks").glob("*.yml")}

    def needs(text: str) -> bool:
        inner = [tasks[file] for file in re.findall(r"(?:import|include)_tasks: (?:tasks/)?(\w+\.yml)", text)]
        return any(re.search(rf"\b{name}\b", text) for name in names) or any(map(needs, inner))

    checked = 0
    for path in sorted((root / "playbooks").glob("*.yml")):
        for play in yaml.safe_load(path.read_text()):
            text = yaml.safe_dump(play.get("tasks") or [], width=10000)
            assert ("vars/release.yml" in (play.get("vars_files") or [])) is needs(text), play["name"]
            checked += needs(text)
    assert checked >= 11
