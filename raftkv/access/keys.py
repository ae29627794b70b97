"""How a key is shown: quoted and bounded, as a hash, or not at all.

Owns: the forms of --access-log-keys, and the prefix by which keys are gathered. Must never do:
show more of a key than its bound.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable

KEY_BYTES_MAX = 128
"""Of a key that is shown; the number of the other bytes stands for them."""
PREFIX_BYTES_MAX = 64
PREFIX_PARTS = 2
HASH_DIGITS = 16

KeyForm = Callable[[bytes], str]

_is_plain = re.compile(rb"[ !#-\[\]-~]{0,%d}" % KEY_BYTES_MAX).fullmatch
_ESCAPES = {code: f"\\x{code:02x}" for code in range(256) if not 0x20 <= code < 0x7F}
_ESCAPES |= {ord("\\"): "\\\\", ord('"'): '\\"', 0x0A: "\\n", 0x0D: "\\r", 0x09: "\\t"}


def quoted(key: bytes) -> str:
    """Between quotes this would be a literal of Go or Python; the first KEY_BYTES_MAX bytes."""
    if _is_plain(key):
        return key.decode("ascii")
    shown = key[:KEY_BYTES_MAX]
    text = shown.decode("latin-1").translate(_ESCAPES)
    rest = len(key) - len(shown)
    return f"{text}...({rest} more)" if rest else text


def hashed(key: bytes) -> str:
    """The same for the same key everywhere, so that who knows a key finds it. It keeps a key from
    who reads the log; who can guess a key can check the guess."""
    return hashlib.sha256(key).hexdigest()[:HASH_DIGITS] if key else ""


def left_out(key: bytes) -> str:
    return ""


FORMS: dict[str, KeyForm] = {"plain": quoted, "hash": hashed, "none": left_out}
"""By the value of --access-log-keys."""


def prefix_of(key: bytes) -> bytes:
    """The first PREFIX_PARTS parts of a path with the slash behind them (/registry/pods/ of
    /registry/pods/default/web), or the key where it has no slash; PREFIX_BYTES_MAX bytes at most.
    """
    at, end = int(key[:1] == b"/"), 0
    for _ in range(PREFIX_PARTS):
        found = key.find(b"/", at, PREFIX_BYTES_MAX)
        if found < 0:
            break
        end = at = found + 1
    return key[: end or PREFIX_BYTES_MAX]
