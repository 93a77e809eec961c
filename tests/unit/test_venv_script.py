"""scripts/venv finds a Python that is new enough, whatever .python-version pins."""

from __future__ import annotations

import subprocess
from pathlib import Path


def program(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)


def test_a_python_of_pyenv_is_found_when_the_pinned_one_is_not_installed(root: Path, tmp_path: Path) -> None:
    shim = "echo \"pyenv: version '3.13' is not installed\" >&2; exit 1"
    for name in ("python3", "python3.14", "python3.13", "python3.12"):
        program(tmp_path / "shims" / name, shim)
    program(tmp_path / "shims" / "pyenv", f"echo {tmp_path}/pyenv")
    # Too old, and new enough; it cannot make an environment, since which one was taken is seen before.
    program(tmp_path / "pyenv/versions/3.11.9/bin/python3", "exit 1")
    new = 'case "$1" in -c) ;; --version) echo Python 3.12.4 ;; *) exit 1 ;; esac'
    program(tmp_path / "pyenv/versions/3.12.4/bin/python3", new)
    done = subprocess.run(
        [root / "scripts" / "venv", tmp_path / "venv", "requirements/controller.txt"],
        env={"PATH": f"{tmp_path}/shims:/bin"},
        cwd=root,
        capture_output=True,
        text=True,
        check=False,
    )
    assert f"Creating {tmp_path}/venv with Python 3.12.4" in done.stdout, done.stderr
