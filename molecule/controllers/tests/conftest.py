"""Fixtures of the scenario. None asks for host: tests are about all hosts at once, in their order."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).resolve().parents[2] / "fleet/tests"))

from fleet import Fleet


@pytest.fixture(scope="session")
def fleet() -> Fleet:
    return Fleet()


@pytest.fixture
def other(tmp_path: Path) -> dict[str, str]:
    """Variables of another controller: the same checkout and vault, without the folder .pki."""
    return {"stack_fleet_ca_dir": str(tmp_path / "fleet-pki"), "nginx_tls_local_ca_dir": str(tmp_path / "pki")}
