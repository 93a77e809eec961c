"""docs/security.md: every threat has its answer, and the answer names tests that exist."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from test_durability import names_in

ROOT = Path(__file__).resolve().parents[2]
TABLE = re.findall(
    r"^\| (.+?) \| (.+?) \| (.+?) \|$", (ROOT / "docs/security.md").read_text().partition("\n## ")[0], re.M
)


@pytest.mark.parametrize("row", TABLE[1:], ids=lambda row: row[0])
def test_every_claim_names_tests_that_exist(row: tuple[str, str, str]) -> None:
    _threat, answer, held_by = row
    named = re.findall(r"`([^`]+)::(test_[^`]+)`", held_by)
    assert answer
    assert named
    assert re.sub(r"`[^`]+`", "", held_by).strip() == ""
    for path, name in named:
        files = [path] if path.endswith(".py") else [str(file) for file in (ROOT / path).glob("tests/test_*.py")]
        assert any(name in names_in(file) for file in files), f"{path} has no {name}"
