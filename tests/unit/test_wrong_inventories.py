"""
Wrong inventories of wrong_inventories.yml, judged by preflight itself: each is a host of one inventory with variables
of its own, and is refused in the sentence that the table has, or accepted for the reason that stands there.

No host is looked at: what preflight is told about them is written here, so nothing depends on the machine's own Engine.
"""

from __future__ import annotations

import re
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml
from ansible_collections.broadcast.stack.plugins.plugin_utils.services import register
from test_preflight_inventories import GROUPS, SECRETS

TABLE = yaml.safe_load((Path(__file__).parent / "wrong_inventories.yml").read_text())
OBSERVATION = {
    "engine": {"installed": True, "running": True, "error": "", "version": "26.1.5", "api_version": "1.45"},
    "host": {
        "memory_mb": 65536,
        "cpus": 4,
        "uid": 0,
        "docker_free_mb": 10**6,
        "listening": [],
        "routes": [],
        "addresses": [],
        "epoch": time.time(),
    },
    **{name: {} for name in ("files", "containers", "images", "networks", "volumes", "links", "certificates")},
}


@pytest.fixture(scope="module")
def lines(root: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[str]]:
    """Name of a wrong inventory to what preflight says about it."""
    folder = tmp_path_factory.mktemp("wrong")
    inventory = folder / "inventories" / "wrong"
    for part in ("group_vars/all", "host_vars"):
        (inventory / part).mkdir(parents=True)
    hosts = dict.fromkeys(["right", *TABLE])
    children = {group: {"hosts": hosts} for group in GROUPS}
    (inventory / "hosts.yml").write_text(yaml.safe_dump({"all": {"children": children}}))
    base = {
        "stack_name": "hpf-shop",
        "stack_environment": "prod",
        "stack_fleet": False,
        # What is said of the hosts was written before the run.
        "stack_clock_skew_max_seconds": 3600,
        "backend_context": str(root / "backend"),
        "backend_domains": ["shop.example.org"],
        "container_observation": OBSERVATION,
        **SECRETS,
    }
    (inventory / "group_vars/all/10_env.yml").write_text(yaml.safe_dump(base))
    for name, entry in TABLE.items():
        (inventory / "host_vars" / f"{name}.yml").write_text(yaml.safe_dump(entry["variables"]))
    (play,) = [one for one in yaml.safe_load((root / "playbooks/preflight.yml").read_text()) if "tasks" in one]
    (task,) = [one for one in play["tasks"][0]["always"] if "broadcast.stack.preflight" in one]
    playbook = folder / "judge.yml"
    playbook.write_text(yaml.safe_dump([{"hosts": "all", "gather_facts": False, "tasks": [task]}]))
    command = [str(Path(sys.executable).parent / "ansible-playbook"), str(playbook), "-i", str(inventory)]
    env = {"PATH": "/usr/bin:/bin", "HOME": str(folder), "ANSIBLE_CONFIG": str(root / "ansible.cfg"), "COLUMNS": "400"}
    done = subprocess.run(command, cwd=root, env=env, capture_output=True, text=True, timeout=300, check=False)
    output = done.stdout + done.stderr
    assert "Preflight found" in output, output
    text = output.partition("Action failed: Preflight found")[2].partition("\nOrigin:")[0]
    told: dict[str, list[str]] = {name: [] for name in hosts}
    # Each host is an inventory of its own, so that groups which take one host have many.
    crowded = re.compile(r"group (%s) = .* hosts where 1 can serve; keep one" % "|".join(register.DATA_GROUPS))
    for line in [line[2:] for line in text.splitlines() if line.startswith("- ") and not crowded.match(line[2:])]:
        names, _colon, rest = line.partition(": ")
        for name in names.split(", "):
            assert name in told, line
            told[name].append(rest)
    return told


def test_the_table_has_forty_of_them() -> None:
    assert len(TABLE) >= 40
    assert all(set(entry) in ({"variables", "says"}, {"variables", "accepted"}) for entry in TABLE.values())


def test_a_right_one_is_not_refused(lines: dict[str, list[str]]) -> None:
    assert lines["right"] == []


@pytest.mark.parametrize("name", TABLE)
def test_it_is_refused_in_this_sentence_or_accepted_for_this_reason(lines: dict[str, list[str]], name: str) -> None:
    entry = TABLE[name]
    # The file and line of a variable are those of a temporary folder.
    found = [re.sub(r" \(\S+:\d+\)", "", line) for line in lines[name]]
    if "accepted" in entry:
        assert found == [], entry["accepted"]
    else:
        assert len(found) == 1, "\n".join(found)
        assert found[0].startswith(entry["says"]), found[0]
