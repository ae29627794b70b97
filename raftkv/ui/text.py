"""Bytes as the page's JSON has them.

Owns: base64url without padding, and keys as text for people. Must never do: escape HTML; the page
does.
"""

from __future__ import annotations

import base64
import binascii
import json


def to_base64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def from_base64(text: str) -> bytes:
    """Raises ValueError."""
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError) as e:
        raise ValueError(f"{text[:40]!r} is not base64url: {e}") from None


def readable(data: bytes) -> str:
    """``data`` as text: what is not UTF-8 in it as \\xNN."""
    return data.decode("utf-8", "backslashreplace")


def strict_text(data: bytes) -> str | None:
    """None when ``data`` is not UTF-8."""
    try:
        return data.decode()
    except UnicodeDecodeError:
        return None


def compact(value: object) -> bytes:
    """JSON in one line."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode(
        "utf-8", "backslashreplace"
    )
