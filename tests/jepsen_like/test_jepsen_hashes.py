"""Members that differ in the end are named."""

from __future__ import annotations

import pytest

from jepsen_like.checkers import hashes
from jepsen_like.checkers.verdict import Validity
from jepsen_like.history.history import History
from jepsen_like.history.operation import MemberState
from tests.jepsen_like.scripted_history import reason


def _history(*states: tuple[str, int, int, int]) -> History:
    return History(finals=[MemberState(*state) for state in states])


def test_equal_members_are_valid() -> None:
    """Same hash, revision and compact revision everywhere."""
    assert hashes.check(_history(("a", 9, 3, 77), ("b", 9, 3, 77))).validity is Validity.VALID


def test_nobody_asked_is_unknown() -> None:
    """A run that did not ask the members has proven nothing."""
    assert hashes.check(History()).validity is Validity.UNKNOWN


@pytest.mark.parametrize(
    ("odd", "words"),
    [
        (("c", 9, 3, 78), "hash at revision 9 differs: c has 78"),
        (("c", 8, 3, 77), "revision differs: c has 8"),
        (("c", 9, 4, 77), "compact revision differs: c has 4"),
    ],
)
def test_the_odd_one_is_named_first(odd: tuple[str, int, int, int], words: str) -> None:
    """Whatever differs, the member that differs from the others opens the list."""
    history = _history(("a", 9, 3, 77), odd, ("b", 9, 3, 77))
    assert words in reason(hashes.check(history))
