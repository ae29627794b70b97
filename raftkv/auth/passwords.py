"""Passwords as bcrypt hashes.

Owns: hashing, checking, and a salt out of a given source of chance. Must never do: run on the event
loop, where it would stand still for a tenth of a second, or keep a password.
"""

from __future__ import annotations

from collections.abc import Callable

import bcrypt

from raftkv.errors import PasswordTooLong

PASSWORD_BYTES_MAX = 72
"""bcrypt's own limit; Go's library refuses more as well."""
COST_MIN, COST_MAX, COST_DEFAULT = 4, 31, 10
_ALPHABET = "./ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
_LAST = ".Oeu"
"""16 bytes of salt are 21 characters of six bits, and one of two."""
_NOBODYS_DIGEST = b"." * 31


def make_salt(cost: int, randrange: Callable[[int], int]) -> bytes:
    """In bcrypt's form, of 128 bits of chance."""
    letters = [_ALPHABET[randrange(64)] for _ in range(21)]
    return f"$2b${cost:02}${''.join(letters)}{_LAST[randrange(4)]}".encode()


def hash_password(password: bytes, salt: bytes) -> bytes:
    """Blocks for long. Raises PasswordTooLong."""
    if len(password) > PASSWORD_BYTES_MAX:
        raise PasswordTooLong(f"{len(password)} bytes, bcrypt takes {PASSWORD_BYTES_MAX}")
    return bcrypt.hashpw(password, salt)


def matches(password: bytes, password_hash: bytes | None, cost: int) -> bool:
    """Blocks for long, and for as long when there is no hash to compare with (the user is unknown):
    ``cost`` is then what a real hash would have cost."""
    known = password_hash or f"$2b${cost:02}${'.' * 22}".encode() + _NOBODYS_DIGEST
    fits = len(password) <= PASSWORD_BYTES_MAX
    try:
        found = bcrypt.checkpw(password[:PASSWORD_BYTES_MAX], known)
    except ValueError:  # the row holds no bcrypt hash: nobody can log in with it
        return False
    return found and fits and bool(password_hash)
