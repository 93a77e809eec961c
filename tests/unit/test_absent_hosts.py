"""Playbooks go on without hosts that cannot be reached where that is right, and name them."""

from __future__ import annotations

import subprocess
import sys

import pytest
import yaml

HERE = {"ansible_connection": "local", "ansible_python_interpreter": sys.executable}
# Nobody listens there.
AWAY = {"ansible_host": "127.0.0.1", "ansible_port": 1}


@pytest.fixture
def play(root, tmp_path):
    """Run a playbook over hosts, group to host to variables, with those of all hosts; returns the process."""

    def run(playbook, groups, *arguments, **variables):
        # Only what is asked for: neither the wiring nor an environment.
        (tmp_path / "inventory").mkdir(exist_ok=True)
        children = {group: {"hosts": hosts} for group, hosts in groups.items()}
        inventory = {"all": {"children": children, "vars": variables}}
        (tmp_path / "inventory/hosts.yml").write_text(yaml.safe_dump(inventory))
        command = ["ansible-playbook", root / "playbooks" / playbook, "-i", tmp_path / "inventory", *arguments]
        return subprocess.run(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False, cwd=root
        )

    return run


def test_maintenance_is_switched_at_all_edges_that_are_there_and_the_others_are_named(play, tmp_path):
    edges = {name: {**HERE, "container_root": f"{tmp_path}/{name}"} for name in "abc"}
    values = {"nginx_tls_container_name": "shop-nginx"}

    def flags():
        return sorted(path.parts[-4] for path in tmp_path.glob("?/shop-nginx/maintenance/on"))

    done = play("maintenance.yml", {"edge": {**edges, "a": AWAY}}, "-e", "state=on", **values)
    assert flags() == ["b", "c"], done.stdout
    assert done.returncode != 0, done.stdout
    assert "Maintenance is on at b, c, but not at a:" in " ".join(done.stdout.split())
    done = play("maintenance.yml", {"edge": edges}, "-e", "state=off", **values)
    assert done.returncode == 0, done.stdout
    assert flags() == []
    assert "but not" not in done.stdout
