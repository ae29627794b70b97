"""Batches, replays, unknown and broken requests, and the member table."""

from __future__ import annotations

import pytest
from applied_store import CLUSTER_ID, MEMBER_ID, TERM, Applied, MakeApplied

from raftkv.api.rpc_pb2 import CompactionRequest, DeleteRangeRequest, PutRequest, PutResponse
from raftkv.apply.batch import Batch, RequestKind
from raftkv.apply.membership import (
    MemberInfo,
    encode_attributes,
    read_member,
    read_members,
    read_removed,
    write_member,
)
from raftkv.errors import (
    Compacted,
    Corrupt,
    EmptyKey,
    FutureRevision,
    KeyNotFound,
    LeaseNotFound,
    MalformedRequest,
    MemberNotFound,
    RequestTimeout,
)

PUT = PutRequest(key=b"k", value=b"v").SerializeToString()
OTHER = 77


def apply(
    applied: Applied, origin: int, sequence: int, kind: int = RequestKind.PUT, payload: bytes = PUT
) -> list[object]:
    batch = Batch(origin, sequence, [(kind, payload)])
    outcomes = applied.applier.apply(sequence, TERM, batch, want_replies=True)
    assert outcomes is not None
    return list(outcomes)


def test_a_batch_that_comes_twice_happens_once(applied: Applied) -> None:
    """Raft may commit a forwarded batch twice; the second is answered with a timeout."""
    apply(applied, MEMBER_ID, 5)
    (late,) = apply(applied, MEMBER_ID, 5)
    assert isinstance(late, RequestTimeout)
    assert applied.store.current_revision == 2
    assert applied.applier.sequences == {MEMBER_ID: 5}


def test_a_batch_that_a_later_one_overtook_does_not_happen(applied: Applied) -> None:
    """Sequence 4 after 5 of the same origin; another origin's 4 is its own."""
    apply(applied, MEMBER_ID, 5)
    (late,) = apply(applied, MEMBER_ID, 4)
    assert isinstance(late, RequestTimeout)
    apply(applied, OTHER, 4)
    assert applied.store.current_revision == 3
    assert applied.applier.sequences == {MEMBER_ID: 5, OTHER: 4}


def test_a_late_batch_without_clients_has_no_outcomes(applied: Applied) -> None:
    """On a member where nobody waits, the duplicate is as silent as the original."""
    batch = Batch(OTHER, 1, [(RequestKind.PUT, PUT)])
    assert applied.applier.apply(1, TERM, batch, want_replies=False) is None
    assert applied.applier.apply(2, TERM, batch, want_replies=False) is None
    assert applied.store.current_revision == 2


def test_an_unknown_kind_stops_the_member(applied: Applied) -> None:
    """Skipping what others apply would be to diverge: the entry is refused with its number."""
    with pytest.raises(Corrupt, match="entry 9 holds a request of unknown kind 200"):
        apply(applied, MEMBER_ID, 9, kind=200)


def test_damage_found_while_applying_stops_the_member(
    applied: Applied, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Corrupt is no outcome of one request; it reaches the server."""

    def damaged() -> None:
        raise Corrupt("a row is unreadable")

    monkeypatch.setattr(applied.store, "begin", damaged)
    with pytest.raises(Corrupt, match="a row is unreadable"):
        apply(applied, MEMBER_ID, 1)


def test_a_payload_that_is_no_message_has_no_effect(applied: Applied) -> None:
    """Each kind with bytes that are no protobuf: an outcome, and the next request is applied."""
    kinds = [kind for kind in RequestKind if kind is not RequestKind.AS_MEMBER]
    requests = [(int(kind), b"\xff\xff") for kind in kinds] + [(int(RequestKind.PUT), PUT)]
    batch = Batch(MEMBER_ID, 1, requests)
    outcomes = applied.applier.apply(1, TERM, batch, want_replies=True)
    assert outcomes is not None
    assert [type(outcome) for outcome in outcomes[:-1]] == [MalformedRequest] * len(kinds)
    assert isinstance(outcomes[-1], bytes)


def test_outcomes_keep_no_traceback(applied: Applied) -> None:
    """An error kept with its traceback would keep every frame of the apply loop alive."""
    (outcome,) = apply(
        applied, MEMBER_ID, 1, payload=PutRequest(lease=1, key=b"k").SerializeToString()
    )
    assert isinstance(outcome, LeaseNotFound)
    assert outcome.__traceback__ is None


def test_the_header_follows_the_entrys_term(applied: Applied) -> None:
    """Entries of two terms: each reply carries its own, beside the ids and the revision."""
    for revision, term in ((2, 3), (3, 4), (4, 4)):
        batch = Batch(MEMBER_ID, revision, [(RequestKind.PUT, PUT)])
        outcomes = applied.applier.apply(revision, term, batch, want_replies=True)
        assert outcomes is not None
        assert isinstance(outcomes[0], bytes)
        header = PutResponse.FromString(outcomes[0]).header
        assert (header.cluster_id, header.member_id) == (CLUSTER_ID, MEMBER_ID)
        assert (header.revision, header.raft_term) == (revision, term)


def test_put_takes_and_keeps_what_it_is_told(make_applied: MakeApplied) -> None:
    """Lease and value, each replaced or kept; the version grows each time."""
    applied = make_applied(frozenset({7, 8}))
    applied.put(b"k", b"one", lease=7)
    applied.put(b"k", b"two", ignore_lease=True)
    kept = applied.store.get(b"k")
    assert kept is not None
    assert (kept.value, kept.lease, kept.version) == (b"two", 7, 2)
    applied.put(b"k", lease=8, ignore_value=True)
    kept = applied.store.get(b"k")
    assert kept is not None
    assert (kept.value, kept.lease, kept.version) == (b"two", 8, 3)
    response = applied.put(b"k", b"three", prev_kv=True)
    assert (response.prev_kv.value, response.prev_kv.lease) == (b"two", 8)
    kept = applied.store.get(b"k")
    assert kept is not None
    assert (kept.value, kept.lease, kept.version) == (b"three", 0, 4)


def test_refused_requests_leave_no_effect(applied: Applied) -> None:
    """Every refusal of a plain request, then the next put gets the next revision."""
    applied.put(b"k")
    applied.compact(2)
    outcomes = applied.outcomes(
        PutRequest(key=b"k", lease=3),
        PutRequest(key=b"none", ignore_value=True),
        PutRequest(key=b"none", ignore_lease=True),
        PutRequest(),
        DeleteRangeRequest(),
        CompactionRequest(revision=2),
        CompactionRequest(revision=3),
    )
    assert [type(outcome) for outcome in outcomes] == [
        LeaseNotFound,
        KeyNotFound,
        KeyNotFound,
        EmptyKey,
        EmptyKey,
        Compacted,
        FutureRevision,
    ]
    assert applied.put(b"k").header.revision == 3


def test_delete_counts_and_shows_what_was_there(applied: Applied) -> None:
    """A range at one revision, previous values in key order; deleting nothing stays put."""
    for key in (b"b", b"a", b"c"):
        applied.put(key, key.upper())
    response = applied.delete(b"a", range_end=b"c", prev_kv=True)
    assert (response.deleted, response.header.revision) == (2, 5)
    assert [key_value.value for key_value in response.prev_kvs] == [b"A", b"B"]
    again = applied.delete(b"a", range_end=b"c", prev_kv=True)
    assert (again.deleted, again.header.revision, len(again.prev_kvs)) == (0, 5, 0)


# --- the member table ------------------------------------------------------------------------


def member(number: int) -> MemberInfo:
    return MemberInfo(number, f"m{number}", (f"http://10.0.0.{number}:2380",), (), number == 3)


def test_members_are_listed_by_id(applied: Applied) -> None:
    """Write rows in any order, up to the largest id; one can be read and removed."""
    ids = (2**64 - 1, 3, 256, 1)
    for number in ids:
        write_member(applied.backend, member(number))
    assert read_members(applied.backend) == [member(number) for number in sorted(ids)]
    assert read_member(applied.backend, 3) == member(3)
    write_member(applied.backend, member(3), removed=True)
    assert read_member(applied.backend, 3) is None
    assert read_members(applied.backend) == [member(1), member(256), member(2**64 - 1)]
    assert read_removed(applied.backend) == [member(3)]


def test_a_member_publishes_its_name_and_client_urls(applied: Applied) -> None:
    """The request changes these two fields of the row, costs no revision, and repeats well."""
    write_member(applied.backend, MemberInfo(9, "", ("http://p:1",), ()))
    payload = encode_attributes(9, "nine", ["http://c:1", "http://c:2"])
    for sequence in (1, 2):
        outcomes = apply(applied, MEMBER_ID, sequence, RequestKind.MEMBER_ATTRIBUTES, payload)
        assert outcomes == [b""]
    expected = MemberInfo(9, "nine", ("http://p:1",), ("http://c:1", "http://c:2"))
    assert read_members(applied.backend) == [expected]
    assert applied.store.current_revision == 1


def test_a_removed_member_cannot_publish_itself_back(applied: Applied) -> None:
    """Attributes of an id without a row: an error, and no row."""
    payload = encode_attributes(9, "nine", [])
    (outcome,) = apply(applied, MEMBER_ID, 1, RequestKind.MEMBER_ATTRIBUTES, payload)
    assert isinstance(outcome, MemberNotFound)
    assert read_members(applied.backend) == []


@pytest.mark.parametrize("payload", [b"", b"[]", b"{}", b'{"id":"x"}', b'{"id":1,"name":"n"}'])
def test_broken_attributes_have_no_effect(applied: Applied, payload: bytes) -> None:
    """Not JSON, not an object, fields missing or of the wrong kind."""
    (outcome,) = apply(applied, MEMBER_ID, 1, RequestKind.MEMBER_ATTRIBUTES, payload)
    assert isinstance(outcome, MalformedRequest)


def test_an_unreadable_row_is_corrupt(applied: Applied) -> None:
    """A row that is not what was written names its member."""
    from raftkv.backend.schema import Table

    applied.backend.put(Table.MEMBERS, (5).to_bytes(8, "big"), b"{}")
    with pytest.raises(Corrupt, match="0000000000000005"):
        read_members(applied.backend)
