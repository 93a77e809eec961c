"""What the callback loads is there in every fork."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
KINDS = ("filter", "lookup", "test")
PLUGINS = {kind: sorted(path.stem for path in (ROOT / "plugins" / kind).glob("*.py")) for kind in KINDS}
PROGRAM = """
import json, sys
from ansible.plugins.loader import callback_loader, init_plugin_loader
init_plugin_loader([sys.argv[1]])
callback_loader.get("broadcast.stack.preload")
print(json.dumps([name for name in sys.modules if name.startswith("ansible_collections.broadcast.stack.plugins.")]))
"""


@pytest.mark.parametrize("kind", PLUGINS)
def test_all_filters_lookups_and_tests_are_loaded(kind):
    command = [sys.executable, "-c", PROGRAM, str(ROOT / "collections")]
    loaded = subprocess.run(command, cwd=ROOT, text=True, stdout=subprocess.PIPE, check=True).stdout
    assert PLUGINS[kind]
    for name in PLUGINS[kind]:
        assert f'"ansible_collections.broadcast.stack.plugins.{kind}.{name}"' in loaded
