"""Unit tests of plugins and of the roles as data; nothing here touches a host."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from ansible.plugins.loader import init_plugin_loader

ROOT = Path(__file__).resolve().parents[2]
os.environ.setdefault("ANSIBLE_CONFIG", str(ROOT / "ansible.cfg"))
init_plugin_loader([str(ROOT / "collections")])


@pytest.fixture(scope="session")
def root() -> Path:
    """The checkout."""
    return ROOT
