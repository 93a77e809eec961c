"""The records of releases on a host."""

from __future__ import annotations

import json

import pytest
from ansible_collections.broadcast.stack.plugins.modules.stack_journal import keep_journal


@pytest.fixture
def results(tmp_path):
    """Number to result of the records on the host."""

    def read() -> dict[int, str]:
        records = [json.loads(path.read_text()) for path in (tmp_path / "journal").glob("*.json")]
        return {record["number"]: record["result"] for record in records}

    return read


def keep(folder, number: int, result: str = "running", *, live: bool = False, limit: int = 100, **more) -> dict:
    record = {"number": number, "started_at": f"2026-11-24T10:00:{number:02d}Z", "result": result, **more}
    return keep_journal(str(folder), record, live, limit, check_mode=False)


def test_an_attempt_whose_run_was_killed_is_abandoned_by_the_next(tmp_path, results):
    keep(tmp_path, 1, "succeeded", live=True)
    keep(tmp_path, 2)
    assert len(keep(tmp_path, 3)["abandoned"]) == 1
    assert results() == {1: "succeeded", 2: "abandoned", 3: "running"}


def test_one_that_had_become_live_served_and_can_be_gone_back_to(tmp_path, results):
    keep(tmp_path, 1, live=True)
    assert keep(tmp_path, 2)["abandoned"] == []
    assert results() == {1: "succeeded", 2: "running"}


def test_the_oldest_records_go(tmp_path, results):
    for number in range(1, 5):
        keep(tmp_path, number, "succeeded", limit=2)
    assert set(results()) == {3, 4}


def test_what_an_attempt_did_to_the_schema_stays_in_its_record(tmp_path):
    applied = {"applied": [{"app": "shop", "name": "0002_drop"}], "heads": {"shop": "0002_drop"}}
    nothing = {"applied": [], "heads": {}}
    keep(tmp_path, 1, migrations=nothing)
    keep(tmp_path, 1, migrations=applied)
    keep(tmp_path, 1, "succeeded", live=True, migrations=nothing)
    for path in (tmp_path / "current.json", *(tmp_path / "journal").iterdir()):
        assert json.loads(path.read_text())["migrations"] == applied
    keep(tmp_path, 2, migrations=nothing)
    assert json.loads(sorted((tmp_path / "journal").iterdir())[1].read_text())["migrations"] == nothing
