"""Opaque tokens: which stands for whom, in the memory of one member.

Owns: the tokens that applied entries have assigned, their end by time, by number or by a change of
their user. Must never do: outlive the process; clients log in again, as with etcd. Every member
applies the entry that assigns a token and so knows it; each counts its time by its own clock, from
the last use it saw.
"""

from __future__ import annotations

from collections import OrderedDict, defaultdict
from collections.abc import Callable

TOKENS_MAX = 20_000
"""Beyond it the token that was not used for longest ends: its client logs in again."""
_LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
_LENGTH = 16
_INDEX_DIGITS_MAX = 20


def make_prefix(randrange: Callable[[int], int]) -> str:
    """What nobody can guess of a token: 91 bits. The index of its entry follows it."""
    return "".join(_LETTERS[randrange(len(_LETTERS))] for _ in range(_LENGTH))


def index_of(token: str) -> int:
    """Of the entry that assigned it; 0 for what is no simple token."""
    _, dot, digits = token.rpartition(".")
    is_index = digits.isascii() and digits.isdigit() and len(digits) <= _INDEX_DIGITS_MAX
    return int(digits) if dot and is_index else 0


class SimpleTokens:
    """``now`` is monotonic, in seconds. Also the book's TokenKeeper."""

    def __init__(
        self, now: Callable[[], float], ttl_s: float, *, tokens_max: int = TOKENS_MAX
    ) -> None:
        self._now = now
        self._ttl_s = ttl_s
        self._tokens_max = tokens_max
        self._tokens: OrderedDict[str, tuple[str, float]] = OrderedDict()
        """Token to user and end, soonest end first: every use moves a token to the back."""
        self._of_user: defaultdict[str, set[str]] = defaultdict(set)

    def __len__(self) -> int:
        return len(self._tokens)

    def user_of(self, token: str) -> str | None:
        """Whose token it is, which lives on by it; None for one that has ended or never was."""
        self._drop_ended()
        found = self._tokens.get(token)
        if found is None:
            return None
        self._tokens[token] = (found[0], self._now() + self._ttl_s)
        self._tokens.move_to_end(token)
        return found[0]

    # --- book.TokenKeeper -----------------------------------------------------------------------

    def assigned(self, token: str, name: str) -> None:
        self._drop_ended()
        while len(self._tokens) >= self._tokens_max:
            self._drop(next(iter(self._tokens)))
        self._tokens[token] = (name, self._now() + self._ttl_s)
        self._of_user[name].add(token)

    def ended(self, name: str) -> None:
        for token in list(self._of_user.get(name, ())):
            self._drop(token)

    def ended_all(self) -> None:
        self._tokens.clear()
        self._of_user.clear()

    def _drop_ended(self) -> None:
        now = self._now()
        while self._tokens:
            token, (_, end) = next(iter(self._tokens.items()))
            if end > now:
                return
            self._drop(token)

    def _drop(self, token: str) -> None:
        name, _ = self._tokens.pop(token)
        tokens = self._of_user[name]
        tokens.discard(token)
        if not tokens:
            del self._of_user[name]
