"""A caller, and whether it may do what it asks for.

Owns: the three checks of etcd's auth store: of keys, of root, of being anybody at all. All hold for
everybody while auth is disabled. Must never do: ask who the caller is; its token has said so.
"""

from __future__ import annotations

from dataclasses import dataclass

from raftkv.auth.book import AuthBook, User
from raftkv.errors import AuthOldRevision, PermissionDenied, UserEmpty


@dataclass(frozen=True, slots=True)
class Caller:
    """``revision`` is the auth revision at which it was known as ``name``: that of a signed token,
    or that of the member that looked the token up. 0 and "" are nobody."""

    name: str
    revision: int


NOBODY = Caller("", 0)


class Authorization:
    """Raises UserEmpty, AuthOldRevision (keys only, as in etcd) and PermissionDenied."""

    def __init__(self, book: AuthBook) -> None:
        self._book = book

    def may_read(self, caller: Caller, key: bytes, range_end: bytes = b"") -> None:
        user = self._user_of_keys(caller)
        if user is not None and not self._book.permissions(user).read.covers(key, range_end):
            raise PermissionDenied(f"{caller.name!r} may not read all of [{key!r}, {range_end!r})")

    def may_write(self, caller: Caller, key: bytes, range_end: bytes = b"") -> None:
        user = self._user_of_keys(caller)
        if user is not None and not self._book.permissions(user).write.covers(key, range_end):
            raise PermissionDenied(f"{caller.name!r} may not write all of [{key!r}, {range_end!r})")

    def is_root(self, caller: Caller) -> None:
        if self._book.enabled and not self._user(caller).is_root:
            raise PermissionDenied(f"{caller.name!r} has not the role root")

    def is_user(self, caller: Caller) -> None:
        if self._book.enabled:
            self._user(caller)

    def is_asked(self, caller: Caller) -> bool:
        """False for whoever may read and write every key."""
        return self._user_of_keys(caller) is not None

    def _user_of_keys(self, caller: Caller) -> User | None:
        """None for whoever may do everything."""
        book = self._book
        if not book.enabled:
            return None
        if not caller.revision:
            raise UserEmpty("the call carries no token")
        if caller.revision < book.revision:
            raise AuthOldRevision(f"known at {caller.revision}, the book is at {book.revision}")
        user = self._user(caller)
        return None if user.is_root else user

    def _user(self, caller: Caller) -> User:
        if not caller.name:
            raise UserEmpty("the call carries no token")
        user = self._book.user(caller.name)
        if user is None:
            raise PermissionDenied(f"there is no user {caller.name!r}")
        return user
