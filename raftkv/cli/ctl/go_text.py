"""Values spelled as Go spells them: quoted bytes, durations, sizes.

Owns: Go's %q, time.Duration and go-humanize's bytes, as far as etcdctl prints them. Must never do:
print.
"""

from __future__ import annotations

import math

_ESCAPES = {
    "\a": "\\a", "\b": "\\b", "\f": "\\f", "\n": "\\n", "\r": "\\r", "\t": "\\t", "\v": "\\v",
    "\\": "\\\\", '"': '\\"',
}  # fmt: skip
_SIZES = ("B", "kB", "MB", "GB", "TB", "PB", "EB")


def quoted(data: bytes | str) -> str:
    """Go's %q: bytes that are no UTF-8 as \\xNN."""
    text = data.encode() if isinstance(data, str) else data
    return f'"{"".join(_escaped(c) for c in text.decode("utf-8", "surrogateescape"))}"'


def _escaped(character: str) -> str:
    if character in _ESCAPES:
        return _ESCAPES[character]
    code = ord(character)
    if 0xDC80 <= code <= 0xDCFF:
        return f"\\x{code - 0xDC00:02x}"
    if character.isprintable():
        return character
    if code < 0x80:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def hexed(data: bytes) -> str:
    """etcdctl's --hex."""
    return "".join(f"\\x{byte:02x}" for byte in data)


def duration(seconds: float) -> str:
    """Go's time.Duration: 1.464986ms, 2.5s, 1m0.5s."""
    nanoseconds = round(seconds * 1e9)
    for unit, size in (("ns", 1), ("µs", 1_000), ("ms", 1_000_000)):
        if nanoseconds < size * 1_000:
            return f"{_trimmed(nanoseconds / size)}{unit}"
    minutes, rest = divmod(nanoseconds / 1e9, 60)
    return f"{int(minutes)}m{_trimmed(rest)}s" if minutes else f"{_trimmed(rest)}s"


def _trimmed(number: float) -> str:
    return f"{number:.9f}".rstrip("0").rstrip(".")


def size(count: int) -> str:
    """20 kB, 1.5 MB."""
    if count < 10:
        return f"{count} B"
    power = min(int(math.log(count) / math.log(1000)), len(_SIZES) - 1)
    value = math.floor(count / 1000**power * 10 + 0.5) / 10
    return f"{value:.1f} {_SIZES[power]}" if value < 10 else f"{value:.0f} {_SIZES[power]}"
