# MIT License (see LICENSE)
"""Times of a cron expression, in UTC.

Needs the standard library only: roles put this file beside the programs that keep time inside containers, and preflight
checks expressions with it.
"""

from __future__ import annotations

import datetime
import re

UTC = datetime.timezone.utc  # noqa: UP017 (Pythons of hosts)
FIELDS = (("minute", 0, 59), ("hour", 0, 23), ("day of month", 1, 31), ("month", 1, 12), ("day of week", 0, 7))


class CronError(ValueError):
    """An expression that names no times."""


def field(text: str, name: str, low: int, high: int) -> set[int]:
    """Values of one field: *, lists, ranges and steps."""
    values: set[int] = set()
    for part in text.split(","):
        match = re.fullmatch(r"(\*|(\d+)(?:-(\d+))?)(?:/(\d+))?", part)
        if match is None:
            raise CronError("schedule: %r is no %s" % (part, name))
        span, first, last, step = match.groups()
        start = low if span == "*" else int(first)
        end = high if span == "*" or (step and last is None) else int(last or first)
        if not low <= start <= end <= high or step == "0":
            raise CronError("schedule: %r is no %s" % (part, name))
        values.update(range(start, end + 1, int(step or 1)))
    return values


class Schedule:
    """A cron expression of five fields, in UTC."""

    def __init__(self, expression: str) -> None:
        parts = expression.split()
        if len(parts) != len(FIELDS):
            raise CronError("schedule: %r does not have the five fields of cron" % expression)
        self.minutes, self.hours, self.days, self.months, weekdays = (
            field(part, *limits)
            for part, limits in zip(parts, FIELDS)  # noqa: B905 (see rendered_directories)
        )
        self.weekdays = {day % 7 for day in weekdays}
        # As in cron: when both are restricted, one of them is enough.
        self.either_day = not parts[2].startswith("*") and not parts[4].startswith("*")

    def on(self, day: datetime.date) -> bool:
        if day.month not in self.months:
            return False
        by_month, by_week = day.day in self.days, day.isoweekday() % 7 in self.weekdays
        return by_month or by_week if self.either_day else by_month and by_week

    def previous(self, now: float) -> float:
        """The last scheduled time that is not after now; 0 when there was none in four years."""
        moment = datetime.datetime.fromtimestamp(now, UTC)
        times = sorted((hour, minute) for hour in self.hours for minute in self.minutes)
        for back in range(4 * 366):
            day = moment.date() - datetime.timedelta(days=back)
            if not self.on(day):
                continue
            passed = [slot for slot in times if back or slot <= (moment.hour, moment.minute)]
            if passed:
                slot = datetime.datetime(day.year, day.month, day.day, *passed[-1], tzinfo=UTC)
                return slot.timestamp()
        return 0.0
