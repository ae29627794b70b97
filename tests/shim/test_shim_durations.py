"""Ages in kubectl's words."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from apiserver_shim.views.durations import UNKNOWN, human, since

DAY = 86400


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (-5, "<invalid>"),
        (0, "0s"),
        (119, "119s"),
        (120, "2m"),
        (125, "2m5s"),
        (599, "9m59s"),
        (600, "10m"),
        (10799, "179m"),
        (10800, "3h"),
        (3 * 3600 + 60, "3h1m"),
        (8 * 3600, "8h"),
        (47 * 3600, "47h"),
        (2 * DAY, "2d"),
        (2 * DAY + 3600, "2d1h"),
        (8 * DAY, "8d"),
        (729 * DAY, "729d"),
        (730 * DAY, "2y"),
        (731 * DAY, "2y1d"),
        (8 * 365 * DAY, "8y"),
    ],
)
def test_two_units_while_the_first_is_small(seconds: int, words: str) -> None:
    """From seconds to years, as kubectl rounds them."""
    assert human(seconds) == words


def test_what_is_no_time_has_no_age() -> None:
    """Missing or unreadable is unknown; a time is counted from now."""
    assert since(None, datetime(2026, 1, 1, tzinfo=UTC)) == UNKNOWN
    assert since("yesterday", datetime(2026, 1, 1, tzinfo=UTC)) == UNKNOWN
    assert since("2025-12-31T23:59:30Z", datetime(2026, 1, 1, tzinfo=UTC)) == "30s"
