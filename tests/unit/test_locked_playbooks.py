"""What changes a stack takes its lock first, and is refused or waits while another run holds it."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from ansible_collections.broadcast.stack.plugins.module_utils.lock import Lock

ROOT = Path(__file__).resolve().parents[2]
PLAYBOOKS = ROOT / "playbooks"
WITHOUT = {
    "backup.yml": "writes into the repositories alone, at any time as the schedule does, behind a lock of their own",
    "check_run.yml": "reads how the run was started",
    "dev_summary.yml": "shows text",
    "logs.yml": "reads",
    "maintenance.yml": "is for the middle of a release that goes wrong; writes one file of each edge, alone",
    "plan.yml": "reads",
    "preflight.yml": "reads",
    "run.yml": "is the application at work, as a task of a worker is; a restore refuses to begin beside it",
    "secrets.yml": "writes a file of the controller and asks no host",
    "status.yml": "reads",
    "transaction.yml": "is a part of site.yml and rollback.yml, which hold the lock",
}
# What may stand before the lock, since it changes nothing.
LOOKS = {
    "ansible.builtin.assert",
    "ansible.builtin.fail",
    "ansible.builtin.meta",
    "broadcast.stack.preflight",
    "broadcast.stack.report",
    "broadcast.stack.run_check",
    "broadcast.stack.stack_info",
    "broadcast.stack.stack_plan",
    "broadcast.stack.stack_release",
    "broadcast.stack.role_plan",
    "broadcast.stack.value",
}
OBSERVATIONS = ("observe", "observe_again")


def loaded(path: Path) -> list[dict]:
    return yaml.safe_load(path.read_text()) or []


def modules(tasks: list[dict], folder: Path) -> Iterator[str]:
    """Names of the modules in the order of the tasks, those of imported files too; the lock's own are its states."""
    for task in tasks:
        for part in ("block", "rescue", "always"):
            yield from modules(task.get(part) or [], folder)
        for word, value in task.items():
            if word in ("ansible.builtin.import_tasks", "ansible.builtin.include_tasks"):
                name = value["file"] if isinstance(value, dict) else value
                if "{{" in name:
                    continue
                path = folder / name
                yield from modules(loaded(path), path.parent)
            elif word in ("ansible.builtin.import_role", "ansible.builtin.include_role"):
                if value.get("tasks_from") not in OBSERVATIONS:
                    yield "role " + value["name"]
            elif word == "broadcast.stack.stack_lock":
                yield "lock " + value["state"]
            elif "." in word:
                yield word


def steps(path: Path) -> Iterator[str]:
    for play in loaded(path):
        if imported := play.get("ansible.builtin.import_playbook"):
            yield from steps(path.parent / imported)
        else:
            yield from modules(play.get("tasks") or [], path.parent)


VERBS = sorted(path.name for path in PLAYBOOKS.glob("*.yml") if path.name not in WITHOUT)


def test_exceptions_name_playbooks_that_are_there_and_why():
    assert set(WITHOUT) <= {path.name for path in PLAYBOOKS.glob("*.yml")}
    assert all(WITHOUT.values())
    assert {"restore.yml", "site.yml", "remove.yml"} <= set(VERBS)


@pytest.mark.parametrize("name", VERBS)
def test_a_playbook_that_changes_something_takes_the_lock_before_and_releases_it(name):
    taken = list(steps(PLAYBOOKS / name))
    assert "lock held" in taken, f"{name} takes no lock; see tasks/lock.yml, or say in WITHOUT why"
    before = set(taken[: taken.index("lock held")])
    assert before <= LOOKS, before - LOOKS
    assert "lock released" in taken[taken.index("lock held") :]


@pytest.fixture
def held(tmp_path):
    """The lock of a stack that another run, on another machine, holds; returns its root."""
    root = tmp_path / "containers"
    process = {"machine": "elsewhere", "pid": 1, "started": "1"}
    assert Lock(str(root / ".release/lock")).take("anna@laptop", "site", 600, process)[0]
    return root


def values(root: Path, **more: object) -> dict[str, object]:
    return {
        "ansible_connection": "local",
        "ansible_python_interpreter": sys.executable,
        "stack_name": "shop",
        "stack_lock_wait": 0,
        "container_root": str(root),
        "container_stack": "shop",
        "container_observation": {"containers": {}, "host": {"epoch": 0}, "volumes": {}, "images": {}, "networks": {}},
        "__stack_lock_host": "db",
        "__stack_lock_purpose": "all hosts",
        "backups_volumes": {},
        **more,
    }


@pytest.mark.parametrize(
    "name", ["down.yml", "remove.yml", "restore.yml", "restore_cleanup.yml", "release_commands.yml"]
)
def test_a_verb_is_refused_while_another_run_holds_the_lock(play, held, name):
    groups = {group: {"db": {}} for group in ("postgres", "backups", "web")}
    done = play(name, groups, "--skip-tags=always", "-e", "remove_confirm=shop restore_confirm=shop", **values(held))
    output = " ".join(done.stdout.split())
    assert done.returncode != 0, done.stdout
    assert "is held by anna@laptop for site since" in output, done.stdout
    assert "Wait until it is released" in output
    assert (held / ".release/lock/holder.json").exists()
    assert "changed: [" not in done.stdout


def test_the_lock_is_free_again_after_a_verb(play, tmp_path):
    done = play("down.yml", {"postgres": {"db": {}}, "web": {"db": {}}}, "--skip-tags=always", **values(tmp_path))
    assert done.returncode == 0, done.stdout
    assert (tmp_path / ".release/lock/guard").exists()
    assert Lock(str(tmp_path / ".release/lock")).holder() is None


def test_the_lock_is_free_again_after_a_verb_that_failed(play, tmp_path):
    broken = values(tmp_path, container_observation={"containers": "broken", "host": {"epoch": 0}})
    done = play("down.yml", {"postgres": {"db": {}}, "web": {"db": {}}}, "--skip-tags=always", **broken)
    assert done.returncode != 0, done.stdout
    assert (tmp_path / ".release/lock/guard").exists()
    assert Lock(str(tmp_path / ".release/lock")).holder() is None


@pytest.mark.parametrize("where", ["away", "unusable"])
def test_stack_is_stopped_without_a_lock_that_cannot_be_taken_and_says_so(play, tmp_path, where):
    away = {"ansible_connection": "ssh", "ansible_host": "127.0.0.1", "ansible_port": 1} if where == "away" else {}
    root = tmp_path if where == "away" else Path("/proc/nowhere")
    groups = {"postgres": {"db": away}, "web": {"web1": {}}}
    done = play("down.yml", groups, "--skip-tags=always", **values(root))
    output = " ".join(done.stdout.split())
    assert "The lock on db cannot be taken:" in output, done.stdout
    assert "goes on without it; make sure that no other one works on shop" in output
    assert "web1" in output.partition("PLAY RECAP")[2]
    assert "failed=0" in output.partition("PLAY RECAP")[2]
