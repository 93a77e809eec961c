"""The last time of a cron expression, in UTC."""

from __future__ import annotations

import datetime

import pytest
from ansible_collections.broadcast.stack.plugins.plugin_utils.services import cron


def epoch(text: str) -> float:
    return datetime.datetime.fromisoformat(text).replace(tzinfo=datetime.UTC).timestamp()


@pytest.mark.parametrize(
    ("expression", "now", "expected"),
    [
        ("0 2 * * *", "2026-03-10 02:00", "2026-03-10 02:00"),
        ("0 2 * * *", "2026-03-10 01:59", "2026-03-09 02:00"),
        ("0 2 * * 0", "2026-03-10 12:00", "2026-03-08 02:00"),
        ("0 2 * * 7", "2026-03-10 12:00", "2026-03-08 02:00"),
        ("30 */6 * * 1-6", "2026-03-09 00:29", "2026-03-07 18:30"),
        ("*/15 * * * *", "2026-03-10 12:44", "2026-03-10 12:30"),
        ("5/20 * * * *", "2026-03-10 12:44", "2026-03-10 12:25"),
        ("0 0 29 2 *", "2026-03-10 12:00", "2024-02-29 00:00"),
        ("0 0 1,15 * *", "2026-01-01 00:00", "2026-01-01 00:00"),
        # Both days restricted: either is enough.
        ("0 0 1 * 1", "2026-03-10 12:00", "2026-03-09 00:00"),
        ("0 0 1 * 1", "2026-04-02 12:00", "2026-04-01 00:00"),
    ],
)
def test_last_scheduled_time_follows_cron(expression: str, now: str, expected: str) -> None:
    assert cron.Schedule(expression).previous(epoch(now)) == epoch(expected)


@pytest.mark.parametrize(
    "expression", ["", "0 2 * *", "60 2 * * *", "0 24 * * *", "0 2 * * mon", "0 2 5-1 * *", "*/0 * * * *"]
)
def test_schedule_that_is_not_cron_is_refused(expression: str) -> None:
    with pytest.raises(cron.CronError, match="schedule"):
        cron.Schedule(expression)


def test_expression_without_any_time_has_no_last_one() -> None:
    assert cron.Schedule("0 0 30 2 *").previous(epoch("2026-03-10 12:00")) == 0
