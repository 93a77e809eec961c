"""Unit tests of plugins and of the roles as data; nothing here touches a host."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
import yaml
from ansible.plugins.loader import init_plugin_loader
from specified import keep_compiled_templates

ROOT = Path(__file__).resolve().parents[2]
os.environ.setdefault("ANSIBLE_CONFIG", str(ROOT / "ansible.cfg"))
init_plugin_loader([str(ROOT / "collections")])
keep_compiled_templates()


@pytest.fixture(scope="session")
def root() -> Path:
    """The checkout."""
    return ROOT


@pytest.fixture
def play(root, tmp_path):
    """Run a playbook over hosts, group to host to variables, with those of all hosts; returns the process."""

    def run(playbook, groups, *arguments, **variables):
        (tmp_path / "inventory/group_vars").mkdir(parents=True, exist_ok=True)
        children = {group: {"hosts": hosts} for group, hosts in groups.items()}
        (tmp_path / "inventory/hosts.yml").write_text(yaml.safe_dump({"all": {"children": children}}))
        (tmp_path / "inventory/group_vars/all.yml").write_text(yaml.safe_dump(variables))
        command = ["ansible-playbook", root / "playbooks" / playbook, "-i", tmp_path / "inventory", *arguments]
        return subprocess.run(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False, cwd=root
        )

    return run
