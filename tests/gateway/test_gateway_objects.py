"""JSON objects out of a body in pieces, wherever it is cut."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from raftkv.errors import RequestTooLarge
from raftkv.gateway.json_objects import JsonObjects

texts = st.text(alphabet='ab"\\{}[]é\n', max_size=8)
leaves = st.one_of(st.none(), st.booleans(), st.integers(), texts)
values = st.recursive(
    leaves,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(texts, inner, max_size=3)),
    max_leaves=8,
)
objects = st.dictionaries(texts, values, max_size=3)


@settings(max_examples=60)
@given(
    wanted=st.lists(objects, max_size=5),
    between=st.sampled_from(["", "\n", " \r\n\t "]),
    cuts=st.lists(st.integers(1, 7), min_size=1, max_size=10),
)
def test_however_it_is_cut(wanted: list[object], between: str, cuts: list[int]) -> None:
    """The same objects, byte for byte, and nothing is left."""
    body = between.join(json.dumps(each) for each in wanted).encode() + between.encode()
    found: list[object] = []
    reader = JsonObjects(10_000)
    at = number = 0
    while at < len(body):
        size = cuts[number % len(cuts)]
        found += [json.loads(each) for each in reader.feed(body[at : at + size])]
        at, number = at + size, number + 1
    assert found == wanted
    assert not reader.is_within


@pytest.mark.parametrize("body", [b"[1]", b"7", b'"a"', b"{} x", b"}", b"\xff"])
def test_what_is_no_object(body: bytes) -> None:
    """Said at once, with what stands there instead."""
    with pytest.raises(ValueError, match="JSON object"):
        JsonObjects(100).feed(body)


def test_an_object_has_a_limit() -> None:
    """Of its own: many small ones may come in one piece."""
    reader = JsonObjects(20)
    assert len(reader.feed(b'{"a":1}' * 50)) == 50
    reader.feed(b'{"a":"' + b"x" * 10)
    with pytest.raises(RequestTooLarge, match="20 bytes"):
        reader.feed(b"x" * 10)


def test_a_long_object_in_small_pieces_is_looked_at_once() -> None:
    """Not once per piece: how far it was read is where it goes on."""
    reader = JsonObjects(1 << 20)
    for _ in range(1_000):
        assert reader.feed(b'{"a":[' if not reader.is_within else b"1,") == []
    assert reader._seen == len(reader._held)
