"""docs/durability.md: every claim names tests that exist, and nothing that keeps data is left out."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest
from test_policy import SPECIFICATIONS, templated

ROOT = Path(__file__).resolve().parents[2]
ENDS = {"restart", "kill", "replacement", "power loss"}


def table() -> list[tuple[str, str, str, str]]:
    lines = (ROOT / "docs/durability.md").read_text().splitlines()
    rows = [tuple(cell.strip() for cell in line.strip("|").split("|")) for line in lines if line.startswith("|")]
    assert {len(row) for row in rows} == {4}
    return rows[2:]


ROWS = table()


@cache
def names_in(path: str) -> set[str]:
    tree = ast.parse((ROOT / path).read_text())
    return {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row[0].partition(':')[0]}, {row[1]}")
def test_every_claim_names_tests_that_exist(row):
    _what, _ends, claim, held_by = row
    named = re.findall(r"`([^`]+)::(test_[^`]+)`", held_by)
    assert claim
    assert named
    for path, name in named:
        assert name in names_in(path), f"{path} has no {name}"


def test_every_end_has_its_claim():
    told: dict[str, list[str]] = {}
    for what, ends, _claim, _held_by in ROWS:
        told.setdefault(what, []).extend(ends.split(", "))
    for what, ends in told.items():
        assert sorted(ends) == sorted(ENDS), what


def keepers() -> set[str]:
    """Containers that keep something in a volume or a memory of their own, timers, and all volumes of a stack."""
    found = set()
    for role, expression in SPECIFICATIONS.items():
        for spec in templated("staging", role, expression):
            volumes = {volume.partition(":")[0] for volume in spec.get("volumes") or []}
            found |= {volume for volume in volumes if not volume.startswith("/")}
            if spec.get("stateful") or role == "redis" or spec.get("exclusive"):
                found.add(spec["name"])
    return {name.removeprefix("broadcast-") for name in found}


def test_everything_that_keeps_data_has_its_rows():
    told = {name for what, *_ in ROWS for name in re.findall("`([^`]+)`", what)}
    assert told == keepers()
