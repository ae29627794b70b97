"""The lease book: what it keeps, what it forgets, and that a new start reads the same."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from raftkv.backend.environment import LmdbBackend
from raftkv.errors import LeaseExists, LeaseNotFound
from raftkv.lease.book import Lease, LeaseBook
from raftkv.mvcc.codec import encode_key_value, lease_of

IDS = (1, 2, 7, -1, -(1 << 63), (1 << 63) - 1)
KEYS = (b"a", b"b", b"\0", b"\xff" * 9, b"k" * 500, b"k" * 501, b"k" * 3000)


@pytest.fixture
def backend(tmp_path: Path) -> Iterator[LmdbBackend]:
    backend = LmdbBackend(str(tmp_path / "db"))
    yield backend
    backend.close()


def version(key: bytes, lease_id: int) -> bytes:
    return encode_key_value(key, 5, 6, 7, b"value", lease_id)


@given(lease_id=st.integers(-(1 << 63), (1 << 63) - 1), value=st.binary(max_size=300))
def test_the_lease_of_an_encoded_key_value(lease_id: int, value: bytes) -> None:
    """lease_of reads the field wherever the value before it ends."""
    assert lease_of(encode_key_value(b"key", 1 << 20, 1 << 40, 1, value, lease_id)) == lease_id


def test_granted_twice_and_ended_twice(backend: LmdbBackend) -> None:
    """The second time is refused, and a lease that ended can be granted anew."""
    book = LeaseBook(backend)
    book.grant(7, 60)
    with pytest.raises(LeaseExists):
        book.grant(7, 10)
    assert book.get(7) == Lease(7, 60)
    book.end(7)
    with pytest.raises(LeaseNotFound):
        book.end(7)
    book.grant(7, 10)
    assert book.get(7) == Lease(7, 10)


def test_a_checkpoint_of_a_lease_that_ended_is_nothing(backend: LmdbBackend) -> None:
    """It neither fails nor brings the lease back."""
    book = LeaseBook(backend)
    book.checkpoint(7, 5)
    assert not book.exists(7)


_actions = st.one_of(
    st.tuples(st.just("grant"), st.sampled_from(IDS), st.integers(1, 9_000_000_000)),
    st.tuples(st.just("end"), st.sampled_from(IDS), st.none()),
    st.tuples(st.just("checkpoint"), st.sampled_from(IDS), st.integers(0, 9_000_000_000)),
    st.tuples(st.just("put"), st.sampled_from((0, *IDS)), st.sampled_from(KEYS)),
    st.tuples(st.just("delete"), st.none(), st.sampled_from(KEYS)),
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=35)
@given(actions=st.lists(_actions, max_size=40))
def test_the_book_equals_a_dictionary(
    tmp_path_factory: pytest.TempPathFactory, actions: list[tuple[str, int, object]]
) -> None:
    """Random grants, ends, checkpoints, puts and deletes: leases, their keys and what is left are
    those of two dictionaries, also in a book that is opened on the same database."""
    backend = LmdbBackend(str(tmp_path_factory.mktemp("db") / "db"))
    book = LeaseBook(backend)
    leases: dict[int, tuple[int, int]] = {}
    lease_of_key: dict[bytes, int] = {}
    for name, lease_id, what in actions:
        if name == "grant" and lease_id not in leases:
            assert isinstance(what, int)
            book.grant(lease_id, what)
            leases[lease_id] = (what, 0)
        elif name == "checkpoint":
            assert isinstance(what, int)
            book.checkpoint(lease_id, what)
            if lease_id in leases:
                leases[lease_id] = (leases[lease_id][0], what)
        elif name == "end" and lease_id in leases:
            on_it = [key for key, of in lease_of_key.items() if of == lease_id]
            book.deleted([version(key, lease_id) for key in on_it])
            book.end(lease_id)
            del leases[lease_id]
            for key in on_it:
                del lease_of_key[key]
        elif name == "put" and (not lease_id or lease_id in leases):
            assert isinstance(what, bytes)
            old = lease_of_key.get(what)
            book.put(what, None if old is None else version(what, old), lease_id)
            lease_of_key[what] = lease_id
        elif name == "delete" and what in lease_of_key:
            assert isinstance(what, bytes)
            book.deleted([version(what, lease_of_key.pop(what))])
    for seen in (book, LeaseBook(backend)):
        assert {each.id: (each.ttl_s, each.remaining_s) for each in seen.leases} == leases
        for each in leases:
            keys = sorted(key for key, of in lease_of_key.items() if of == each)
            assert seen.keys(each) == keys
    backend.close()
