"""How a verb fails: one line on stderr, with etcdctl's words and exit statuses.

Owns: the statuses, and what to try next for the errors where that can be said. Must never do: print
a traceback for what a user or a server did.
"""

from __future__ import annotations

from typing import IO, Any, NoReturn

import click

from raftkv import errors as e
from raftkv.error_texts import TEXTS

ERROR = 1
BAD_CONNECTION = 2
INVALID_INPUT = 3
BAD_FEATURE = 4
IO_ERROR = 6
BAD_ARGUMENTS = 128

_NEXT: tuple[tuple[type[BaseException], str], ...] = (
    (e.Compacted, "ask for a later revision"),
    (e.FutureRevision, "the present one is in the header of any `get -w json`"),
    (e.NoSpace, "delete, then `compaction`: there is room again as soon as 90 % are live"),
    (e.LeaseNotFound, "it has ended: `lease list` has those that live"),
    (e.MemberNotFound, "`member list` has the ids"),
    (e.MaybeExecuted, "read what it was to write before trying again"),
)


class Failure(click.ClickException):
    def __init__(self, message: str, status: int = ERROR) -> None:
        super().__init__(message)
        self.exit_code = status  # type: ignore[misc]

    def show(self, file: IO[Any] | None = None) -> None:
        click.echo(f"Error: {self.message}", err=True)


def text_of(error: BaseException) -> str:
    """etcd's words where it has any."""
    known = TEXTS.get(type(error)) if isinstance(error, e.RaftKVError) else None
    return known or str(error)


def failure_of(error: BaseException, status: int = ERROR) -> Failure:
    for kind, advice in _NEXT:
        if isinstance(error, kind):
            return Failure(f"{text_of(error)} ({advice})", status)
    return Failure(text_of(error), status)


def refuse(message: str, status: int = BAD_ARGUMENTS) -> NoReturn:
    raise Failure(message, status)
