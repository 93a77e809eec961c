"""Which Docker Engine is asked: the same one by modules, roles, scripts and make."""

from __future__ import annotations

import importlib
import re
import subprocess
from pathlib import Path

import pytest
from ansible.module_utils.testing import patch_module_args

ROOT = Path(__file__).resolve().parents[2]
SOCKET = "/var/run/docker.sock"
# Modules with the option docker_host, and what else each needs.
ARGUMENTS = {
    "stack_info": {"stack": "shop", "root": "/opt/shop/containers"},
    "stack_logs": {"stack": "shop"},
    "containers_stop": {"names": ["shop-web"]},
    "container_stand_in": {"name": "shop-web"},
    "container_beside": {"command": ["true"], "like": "shop-web", "stack": "shop"},
}


@pytest.fixture
def asked(monkeypatch, capsys):
    """Runs a module as on a host with a DOCKER_HOST; gives all that it says."""

    def ask(name: str, variable: str, **arguments: object) -> str:
        monkeypatch.setenv("DOCKER_HOST", variable)
        module = importlib.import_module("ansible_collections.broadcast.stack.plugins.modules." + name)
        with patch_module_args({**ARGUMENTS[name], **arguments}), pytest.raises(SystemExit):
            module.main()
        return capsys.readouterr().out

    return ask


def modules() -> list[str]:
    paths = sorted((ROOT / "plugins" / "modules").glob("*.py"))
    return [path.stem for path in paths if "import" in (text := path.read_text()) and "Engine(" in text]


@pytest.mark.parametrize("module", modules())
def test_every_module_follows_docker_host_and_its_own_option_wins(module, asked, tmp_path):
    assert "not ssh://elsewhere: unset DOCKER_HOST" in asked(module, "ssh://elsewhere")
    assert "elsewhere" not in asked(module, "ssh://elsewhere", docker_host=f"unix://{tmp_path}/docker.sock")


def test_nothing_else_names_the_socket():
    """A place that does asks another Engine than its neighbours when DOCKER_HOST is set."""
    listed = subprocess.run(
        ["git", "ls-files", "plugins", "roles", "playbooks", "scripts", "bench", "Makefile", "group_vars"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()
    found = []
    for path in filter(lambda path: (ROOT / path).is_file(), listed):
        for line in (ROOT / path).read_text(encoding="utf-8", errors="replace").splitlines():
            # What follows DOCKER_HOST, and the documentation of the modules.
            if (
                SOCKET in line
                and "DOCKER_HOST" not in line
                and not re.search(r"^    default: unix:|DEFAULT_HOST", line)
            ):
                found.append("%s: %s" % (path, line.strip()))
    # What judges an inventory compares with it, and asks nobody.
    assert [text for text in found if not text.startswith("plugins/plugin_utils/engine_options.py: ")] == []


@pytest.mark.parametrize("path", ["Makefile", "scripts/logs", "scripts/e2e", "bench/run"])
def test_what_calls_the_client_sets_docker_host_for_it(path):
    text = (ROOT / path).read_text(encoding="utf-8")
    assert re.search(r"\bdocker\b", text)
    assert text.index("DOCKER_HOST") < re.search(r"""^[^#\n]*(\bdocker |"docker",)""", text, re.M).start()
