"""How long ago, in the words of `kubectl get`.

Owns: the rounding of Kubernetes' HumanDuration. Must never do: read a clock.
"""

from __future__ import annotations

from datetime import UTC, datetime

UNKNOWN = "<unknown>"
_MINUTE, _HOUR, _DAY = 60, 3600, 86400


def parse_time(text: object) -> datetime | None:
    """A time as objects hold it; None for what is no time."""
    if not isinstance(text, str):
        return None
    try:
        return datetime.fromisoformat(text.replace("Z", "+00:00")).astimezone(UTC)
    except ValueError:
        return None


def since(text: object, now: datetime) -> str:
    """The age of what happened then."""
    then = parse_time(text)
    return UNKNOWN if then is None else human((now - then).total_seconds())


def human(seconds: float) -> str:
    """Two units while the first is small, one after that."""
    if seconds < -1:
        return "<invalid>"
    whole = max(int(seconds), 0)
    minutes, hours, days = whole // _MINUTE, whole // _HOUR, whole // _DAY
    years = days // 365
    if whole < 2 * _MINUTE:
        return f"{whole}s"
    if minutes < 10:
        return _two(minutes, "m", whole % _MINUTE, "s")
    if minutes < 180:
        return f"{minutes}m"
    if hours < 8:
        return _two(hours, "h", minutes % 60, "m")
    if hours < 48:
        return f"{hours}h"
    if days < 8:
        return _two(days, "d", hours % 24, "h")
    if days < 730:
        return f"{days}d"
    if years < 8:
        return _two(years, "y", days % 365, "d")
    return f"{years}y"


def _two(first: int, first_unit: str, second: int, second_unit: str) -> str:
    return f"{first}{first_unit}" + (f"{second}{second_unit}" if second else "")
