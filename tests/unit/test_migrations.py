"""What releases did to the schema, and whether an earlier one still fits it."""

from __future__ import annotations

import json

import pytest
from ansible_collections.broadcast.stack.plugins.plugin_utils.releases.migrations import (
    release_result,
    rollback_problems,
)

NOTHING = {"applied": [], "heads": {}}
DROP = {"app": "shop", "name": "0002_drop", "breaking": ["drops column shop_item.colour"], "declared": []}
SAFE = {"app": "shop", "name": "0002_drop", "breaking": [], "declared": ["drops column shop_item.colour"]}
WIDE = {"app": "shop", "name": "0002_wide", "breaking": [], "declared": []}


def record(number, *applied, result="succeeded", origin=None, **more):
    migrations = {"applied": list(applied), "heads": {}, **more}
    return {"number": number, "origin": origin or number, "result": result, "migrations": migrations}


def test_the_last_result_counts():
    found = {"applied": [WIDE], "heads": {"shop": "0002_wide"}, "restore_point": "p"}
    output = f"+ migrate\nRELEASE-RESULT {json.dumps(NOTHING)}\nRELEASE-RESULT {json.dumps(found)}\na warning\n"
    assert release_result({"container": {"Output": output}}) == found
    assert release_result({"failed": True, "msg": output, "status": 1}) == found


@pytest.mark.parametrize("output", ["", None, "+ migrate\n", "RELEASE-RESULT {", "RELEASE-RESULT []"])
def test_without_a_result_nothing_was_applied(output):
    assert release_result({"container": {"Output": output}}) == NOTHING
    assert release_result({}) == NOTHING


def test_harmless_migrations_let_every_release_return():
    assert rollback_problems([record(1), record(2, WIDE), record(3, WIDE)], 1, 3) == []


def test_a_breaking_one_after_the_target_is_explained():
    (problem,) = rollback_problems([record(1), record(2, DROP, restore_point="shop-release-2"), record(3)], 1, 3)
    for part in ("Release 2", "shop.0002_drop", "drops column shop_item.colour", "shop-release-2", "release 1"):
        assert part in problem


def test_the_target_knows_its_own():
    assert rollback_problems([record(1), record(2, DROP), record(3)], 2, 3) == []


def test_what_a_failed_attempt_applied_stays():
    journal = [record(1), record(2), record(3, DROP, result="failed")]
    assert len(rollback_problems(journal, 1, 2)) == 1


def test_what_is_declared_safe_fits_the_release_before_it_only():
    journal = [record(1), record(2), record(3, SAFE)]
    assert rollback_problems(journal, 2, 3) == []
    assert len(rollback_problems(journal, 1, 3)) == 1


def test_before_a_release_that_followed_a_rollback_the_older_code_ran():
    journal = [record(1), record(2), record(3, origin=1), record(4, SAFE)]
    assert rollback_problems(journal, 1, 4) == []


def test_records_may_lack_migrations():
    assert rollback_problems([{"number": 2, "result": "succeeded"}], 1, 2) == []
