"""Fixtures of the scenario. None asks for host: tests are about all hosts at once."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
from collections.abc import Callable

import pytest
from fleet import Fleet


@pytest.fixture(scope="session")
def fleet() -> Fleet:
    return Fleet()


@pytest.fixture
def site(fleet: Fleet) -> Callable[..., subprocess.CompletedProcess]:
    """Run site.yml, with further arguments and variables."""
    return fleet.site


@pytest.fixture
def release(fleet: Fleet) -> Callable[..., float]:
    """Release a source that differs by this text; the seconds it took."""
    return fleet.release


@pytest.fixture
def loaded(fleet: Fleet) -> Callable[..., contextlib.AbstractContextManager[dict]]:
    """Requests at all edges while the block runs."""
    return fleet.loaded


@pytest.fixture
def record(request: pytest.FixtureRequest) -> Callable[..., None]:
    """Note figures, for bench/fleet and for whoever reads the output."""

    def write(**figures: object) -> None:
        line = json.dumps({"test": request.node.name, **figures})
        print(line)
        if path := os.environ.get("FLEET_RESULTS"):
            with open(path, "a") as file:
                file.write(line + "\n")

    return write
