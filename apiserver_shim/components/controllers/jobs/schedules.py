"""Cron's five fields: when a schedule comes next.

Owns: their grammar (numbers, names, *, ranges, steps, lists, and @daily and its kin). Must never
do: know the time.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

NICKNAMES = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_DAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
_RANGES = ((0, 59), (0, 23), (1, 31), (1, 12), (0, 7))
YEARS_AHEAD_MAX = 5
"""A schedule that does not come in so long never does: the 30th of February."""


@dataclass(frozen=True, slots=True)
class Schedule:
    minutes: frozenset[int]
    hours: frozenset[int]
    days: frozenset[int]
    months: frozenset[int]
    weekdays: frozenset[int]
    """0 is Sunday."""
    either_day: bool
    """Both day fields are restricted: one of them is enough."""

    def next_after(self, when: datetime) -> datetime | None:
        """The first time later than ``when``, in its time zone."""
        at = when.replace(second=0, microsecond=0) + timedelta(minutes=1)
        last = at.year + YEARS_AHEAD_MAX
        while at.year <= last:
            if at.month not in self.months:
                at = (at.replace(day=1) + timedelta(days=32)).replace(day=1, hour=0, minute=0)
            elif not self._is_day(at):
                at = (at + timedelta(days=1)).replace(hour=0, minute=0)
            elif at.hour not in self.hours:
                at = (at + timedelta(hours=1)).replace(minute=0)
            elif at.minute not in self.minutes:
                at += timedelta(minutes=1)
            else:
                return at
        return None

    def _is_day(self, at: datetime) -> bool:
        day, weekday = at.day in self.days, at.isoweekday() % 7 in self.weekdays
        return day or weekday if self.either_day else day and weekday


def parse(text: str) -> Schedule:
    """Raises ValueError for what is no schedule."""
    fields = NICKNAMES.get(text.strip(), text).split()
    if len(fields) != len(_RANGES):
        raise ValueError(f"expected exactly 5 fields, found {len(fields)}: {text!r}")
    minutes, hours, days, months, weekdays = (
        _field(field, *bounds, _names(at))
        for at, (field, bounds) in enumerate(zip(fields, _RANGES, strict=True))
    )
    either = not fields[2].startswith(("*", "?")) and not fields[4].startswith(("*", "?"))
    weekdays = frozenset(day % 7 for day in weekdays)
    return Schedule(minutes, hours, days, months, weekdays, either)


def _names(at: int) -> dict[str, int]:
    if at == 3:
        return {name: number for number, name in enumerate(_MONTHS, start=1)}
    return {name: number for number, name in enumerate(_DAYS)} if at == 4 else {}


def _field(text: str, low: int, high: int, names: dict[str, int]) -> frozenset[int]:
    found: set[int] = set()
    for part in text.split(","):
        span, slash, step_text = part.partition("/")
        if span in ("*", "?"):
            first, last = low, high
        else:
            start, dash, end = span.partition("-")
            first = _number(start, names)
            last = _number(end, names) if dash else (high if slash else first)
        step = _number(step_text, {}) if slash else 1
        if not low <= first <= last <= high or step < 1:
            raise ValueError(f"{part!r} is not within {low}-{high}")
        found.update(range(first, last + 1, step))
    return frozenset(found)


def _number(text: str, names: dict[str, int]) -> int:
    if text.lower() in names:
        return names[text.lower()]
    if not text.isdigit():
        raise ValueError(f"{text!r} is no number")
    return int(text)
