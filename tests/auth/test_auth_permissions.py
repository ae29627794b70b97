"""Permissions as intervals, against a set of keys counted one by one."""

from __future__ import annotations

from itertools import product

from hypothesis import given
from hypothesis import strategies as st

from raftkv.auth.permissions import KeyRanges

LETTERS = (b"\x00", b"a", b"b")
UNIVERSE = sorted(b"".join(word) for n in (1, 2, 3) for word in product(LETTERS, repeat=n))
"""Every key of one to three of these letters. Ends of drawn ranges have at most two, so that each
gap between two ends has a key of the universe in it."""
KEYS = [key for key in UNIVERSE if len(key) <= 2]
ranges = st.tuples(st.sampled_from(KEYS), st.sampled_from([b"", b"\x00", *KEYS]))


def keys_of(key: bytes, range_end: bytes) -> set[bytes]:
    """What a range holds, by etcd's rules for range_end, of the universe."""
    if not range_end:
        return {key}
    if range_end == b"\x00":
        return {each for each in UNIVERSE if each >= key}
    return {each for each in UNIVERSE if key <= each < range_end}


@given(st.lists(ranges, max_size=6), ranges)
def test_a_range_is_covered_when_each_of_its_keys_is(
    granted: list[tuple[bytes, bytes]], asked: tuple[bytes, bytes]
) -> None:
    """Draw grants and a question: the union of the grants covers it, or not, key by key; and only
    an open-ended grant covers an open-ended question."""
    allowed = set().union(*(keys_of(*each) for each in granted))
    wanted = keys_of(*asked)
    is_open = asked[1] == b"\x00"
    if not wanted:
        expected = asked[0] in allowed  # ends before it begins: it holds nothing
    elif is_open:
        expected = wanted <= allowed and any(end == b"\x00" for _, end in granted)
    else:
        expected = wanted <= allowed
    assert KeyRanges(granted).covers(*asked) == expected


@given(st.lists(ranges, max_size=6), st.randoms(use_true_random=False))
def test_the_order_of_grants_does_not_matter(
    granted: list[tuple[bytes, bytes]], random: object
) -> None:
    """Shuffle them: every question of the universe has the same answer."""
    shuffled = list(granted)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    first, second = KeyRanges(granted), KeyRanges(shuffled)
    for asked in product(KEYS, (b"", b"\x00", b"b")):
        assert first.covers(*asked) == second.covers(*asked), asked


def test_a_single_key_allows_no_range_from_it() -> None:
    """A grant of one key: the key, and nothing that begins there (etcd GHSA-xg4h-6gfc-h4m8)."""
    one = KeyRanges([(b"k", b"")])
    assert one.covers(b"k", b"")
    assert one.covers(b"k", b"k\x00")
    assert not one.covers(b"k", b"\x00")
    assert not one.covers(b"k", b"k\x00\x00")
    assert not one.covers(b"k\x00", b"")


def test_touching_grants_are_one() -> None:
    """[a, b), [b, c) and c allow [a, c + zero byte), and nothing allows a gap."""
    parts = KeyRanges([(b"b", b"c"), (b"a", b"b"), (b"c", b"")])
    assert parts.covers(b"a", b"c\x00")
    assert not parts.covers(b"a", b"d")
    assert not KeyRanges([(b"a", b"b"), (b"c", b"d")]).covers(b"a", b"d")


def test_nothing_granted_allows_nothing() -> None:
    """An empty set covers no key and no range."""
    none = KeyRanges()
    assert not none.covers(b"a", b"")
    assert not none.covers(b"\x00", b"\x00")
