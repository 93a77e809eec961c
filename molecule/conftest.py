"""Fixtures for the tests of every scenario."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
import testinfra

SHARED = Path(__file__).parent / "shared"
Play = Callable[..., subprocess.CompletedProcess]


@pytest.fixture(scope="session")
def scenario() -> Path:
    """The scenario's directory."""
    return Path(os.environ["MOLECULE_SCENARIO_DIRECTORY"])


@pytest.fixture(scope="module")
def play(host: object) -> Play:
    """Run a playbook on the instances, with further arguments and variables; the result holds all it printed.

    It asks for host, since pytest groups the tests that use a parametrised fixture: one without it changes places.
    """

    def run(playbook: Path, *arguments: str, **variables: object) -> subprocess.CompletedProcess:
        inventories = [SHARED / "inventory", os.environ["MOLECULE_INVENTORY_FILE"]]
        command = [
            "ansible-playbook",
            *(f"--inventory={inventory}" for inventory in inventories),
            f"--extra-vars={json.dumps(variables)}",
            *arguments,
            str(playbook),
        ]
        return subprocess.run(command, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)

    return run


@pytest.fixture
def keepers(host: testinfra.host.Host) -> Callable[..., set[str]]:
    """Files below places in which a text is: `keepers("-F", text, place, ...)`, the first an option of grep."""

    def find(option: str, text: str, *places: str) -> set[str]:
        where = " ".join(["%s"] * len(places))
        host.check_output(f"ls -d {where}", *places)
        found = host.run(f"grep -rls %s -- %s {where}", option, text, *places)
        # 2: among others, a file has gone before it was opened.
        assert found.rc in (0, 1, 2), found
        return set(found.stdout.splitlines())

    return find


@pytest.fixture(scope="module")
def converge(play: Play, scenario: Path) -> Play:
    """Run the scenario's converge playbook once more, with other variables."""
    own = scenario / "converge.yml"

    def run(*arguments: str, **variables: object) -> subprocess.CompletedProcess:
        return play(own if own.exists() else SHARED / "converge.yml", *arguments, **variables)

    return run
