"""Where Python lives in plugins/: by where it runs, and in files that are read at one sitting."""

from __future__ import annotations

import ast
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

PLUGINS = "ansible_collections.broadcast.stack.plugins."
MODULE_UTILS = "module_utils."
MAXIMUM_LINES = 350


def imports(text: str) -> Iterator[str]:
    """What a file imports of plugins/, as dotted paths in it; of `from a import b` both a and a.b."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [node.module or "", *("%s.%s" % (node.module, alias.name) for alias in node.names)]
        else:
            continue
        yield from (name.removeprefix(PLUGINS) for name in names if name.startswith(PLUGINS))


def shipped(plugins: Path) -> set[str]:
    """Files of module_utils that Ansible sends to a host with any module, as dotted paths."""
    found: set[str] = set()
    todo = sorted((plugins / "modules").glob("*.py"))
    while todo:
        for name in imports(todo.pop().read_text()):
            path = plugins / (name.replace(".", "/") + ".py")
            if name.startswith(MODULE_UTILS) and path.is_file() and name not in found:
                found.add(name)
                todo.append(path)
    return found


def unused_by_modules(plugins: Path) -> list[str]:
    paths = [path.relative_to(plugins).with_suffix("") for path in sorted((plugins / "module_utils").rglob("*.py"))]
    return sorted({".".join(path.parts) for path in paths} - shipped(plugins))


def sent_and_not_for_hosts(plugins: Path) -> list[str]:
    """Imports of a host's files of what only the controller has."""
    paths = [*(plugins / "modules").glob("*.py"), *(plugins / "module_utils").rglob("*.py")]
    return sorted(
        "%s: %s" % (path.relative_to(plugins), name)
        for path in paths
        for name in imports(path.read_text())
        if not name.startswith(MODULE_UTILS) and name != "module_utils"
    )


def too_long(paths: list[Path]) -> list[str]:
    lengths = {path: len(path.read_text().splitlines()) for path in paths}
    return sorted("%s: %d lines" % (path.name, count) for path, count in lengths.items() if count > MAXIMUM_LINES)


def test_module_utils_holds_what_modules_import_and_nothing_else(root):
    """The rest runs on the controller: it belongs to plugin_utils, into the folder of what it is about."""
    assert unused_by_modules(root / "plugins") == []
    assert sent_and_not_for_hosts(root / "plugins") == []


def test_no_file_is_longer_than_people_read_at_one_sitting(root):
    listed = subprocess.run(["git", "ls-files", "plugins/*.py"], cwd=root, capture_output=True, text=True, check=True)
    paths = [path for line in listed.stdout.splitlines() if (path := root / line).is_file()]
    assert len(paths) > 50
    assert too_long(paths) == []


@pytest.fixture
def plugins(tmp_path):
    files = {
        "modules/look.py": f"from {PLUGINS}module_utils import engine\n",
        "module_utils/engine.py": f"from {PLUGINS}module_utils.deep.joined import joined\n",
        "module_utils/deep/joined.py": "def joined(): ...\n",
        "plugin_utils/plan.py": f"import {PLUGINS}module_utils.engine\n",
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path


def test_what_modules_import_by_way_of_others_is_theirs(plugins):
    assert shipped(plugins) == {"module_utils.engine", "module_utils.deep.joined"}
    assert unused_by_modules(plugins) == []
    assert sent_and_not_for_hosts(plugins) == []


def test_what_only_the_controller_imports_is_told(plugins):
    (plugins / "module_utils/plans.py").write_text("")
    (plugins / "plugin_utils/plan.py").write_text(f"from {PLUGINS}module_utils import plans\n")
    assert unused_by_modules(plugins) == ["module_utils.plans"]
    (plugins / "module_utils/engine.py").write_text(f"from {PLUGINS}plugin_utils import plan\n")
    told = sent_and_not_for_hosts(plugins)
    assert told == ["module_utils/engine.py: plugin_utils", "module_utils/engine.py: plugin_utils.plan"]


def test_a_file_that_is_too_long_is_told(tmp_path):
    (tmp_path / "short.py").write_text("\n" * MAXIMUM_LINES)
    (tmp_path / "long.py").write_text("\n" * (MAXIMUM_LINES + 1))
    assert too_long(sorted(tmp_path.glob("*.py"))) == ["long.py: 351 lines"]
