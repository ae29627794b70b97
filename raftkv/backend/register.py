"""The CRC-32C register after a row, begun at zero: the check of that row.

Owns: the arithmetic. google_crc32c shows and takes the register inverted, so zero is ZERO here.
Fed to the register in its turn, a check makes zero again: any number of rows, each followed by its
check, leave zero. Must never do: know rows.
"""

from __future__ import annotations

from typing import Final

import google_crc32c

CHECK_BYTES: Final = 4
ZERO: Final = 0xFFFFFFFF
extend = google_crc32c.extend


def check_of(row: bytes) -> bytes:
    return check_after(extend(ZERO, row))


def check_after(register: int) -> bytes:
    """The four bytes that make ``register`` zero."""
    return (register ^ ZERO).to_bytes(CHECK_BYTES, "little")
