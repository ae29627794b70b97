"""The quota's entries: what they change, what voids them, and level 0, where nothing does."""

from __future__ import annotations

import pytest
from applied_store import TERM, Applied

from raftkv.api.rpc_pb2 import (
    DeleteRangeRequest,
    LeaseGrantRequest,
    PutRequest,
    RequestOp,
    TxnRequest,
)
from raftkv.apply.alarm_book import CLUSTER, Alarm, AlarmKind
from raftkv.apply.applier import Outcome
from raftkv.apply.batch import Batch, RequestKind
from raftkv.apply.behalf import encode_as_member
from raftkv.apply.level import LevelChange
from raftkv.apply.space import encode_base, encode_quota
from raftkv.backend.schema import Meta, Table
from raftkv.errors import LeaderChanged, MalformedRequest, NoSpace, Unavailable

FULL = Alarm(CLUSTER, AlarmKind.NOSPACE)


def ask(applied: Applied, kind: RequestKind, payload: bytes, term: int = TERM) -> Outcome:
    """One entry, asked for by a member."""
    applier = applied.applier
    sequence = applier.sequences.get(9, 0) + 1
    request = (int(RequestKind.AS_MEMBER), encode_as_member(kind, payload))
    outcomes = applier.apply(sequence, term, Batch(9, sequence, [request]), want_replies=True)
    assert outcomes is not None
    return outcomes[0]


def set_level(applied: Applied, level: int) -> None:
    epoch = applied.applier.level.row.epoch
    ask(applied, RequestKind.CLUSTER_LEVEL, LevelChange(level, held=False, epoch=epoch).encode())


def begin(applied: Applied, quota: int) -> None:
    """Counted from an empty store on."""
    set_level(applied, 1)
    assert ask(applied, RequestKind.SPACE_BEGIN, encode_quota(TERM, quota)) == b""
    base = encode_base(TERM, applied.store.current_revision, -1, 0, 0)
    assert ask(applied, RequestKind.SPACE_BASE, base) == b""


def test_at_level_0_nothing_is_counted_or_stored(applied: Applied) -> None:
    """As 0.1.0: the entries are void, and the database has no row of ours."""
    outcome = ask(applied, RequestKind.SPACE_BEGIN, encode_quota(TERM, 100))
    assert isinstance(outcome, Unavailable)
    for number in range(300):
        applied.put(b"k%d" % number, b"v" * 1000)
    applied.store.flush_meta()
    assert not applied.store.ledger.is_on
    names = [key for key, _ in applied.backend.cursor(Table.META)]
    assert not [name for name in names if name.startswith(Meta.SPACE)]


def test_a_lowered_level_ends_the_count(applied: Applied) -> None:
    """0.1.0 writes without counting: what was counted says nothing any more."""
    begin(applied, 1 << 30)
    applied.put(b"k", b"v")
    set_level(applied, 0)
    applied.put(b"k", b"w")
    assert not applied.store.ledger.is_on
    assert applied.backend.get(Table.META, Meta.SPACE) is None


def test_the_request_that_does_not_fit_raises_the_alarm(applied: Applied) -> None:
    """A put, a txn with a put, a grant: refused and with the alarm of no member; what puts nothing
    goes on, and the alarm goes with the entry that makes room."""
    begin(applied, 93_000)
    for number in range(11):
        applied.put(b"k%02d" % number, b"v" * 3_000)
    assert applied.applier.alarms.active() == []
    big = PutRequest(key=b"big", value=b"v" * 50_000)
    txn = TxnRequest(success=[RequestOp(request_put=big)])
    for request in (big, txn):
        applied.applier.alarms.deactivate(FULL)
        (outcome,) = applied.outcomes(request)
        assert isinstance(outcome, NoSpace)
        assert applied.applier.alarms.active() == [FULL]
    assert isinstance(applied.outcomes(LeaseGrantRequest(ID=9, TTL=60))[0], NoSpace)
    only_deletes = RequestOp(request_delete_range=DeleteRangeRequest(key=b"k00"))
    applied.txn(TxnRequest(success=[only_deletes]))
    assert applied.applier.alarms.active() == [FULL]
    applied.delete(b"\0", range_end=b"\0")
    applied.compact(applied.store.current_revision)
    assert applied.applier.alarms.active() == []
    applied.put(b"k", b"v")


def test_a_batch_that_fills_the_store_is_refused_from_one_request_on(applied: Applied) -> None:
    """Not as a whole: each request sees what those before it have used."""
    begin(applied, 50_000)
    puts = [PutRequest(key=b"k%d" % n, value=b"v" * 5_000) for n in range(10)]
    outcomes = applied.outcomes(*puts)
    refused = [isinstance(outcome, NoSpace) for outcome in outcomes]
    assert refused == sorted(refused)
    assert 0 < refused.index(True) < 9


def test_alarms_of_members_end_with_the_complete_count(applied: Applied) -> None:
    """They are of the time when each looked at its own file."""
    applied.applier.alarms.activate(Alarm(77, AlarmKind.NOSPACE))
    applied.applier.alarms.activate(Alarm(77, AlarmKind.CORRUPT))
    begin(applied, 1 << 30)
    assert applied.applier.alarms.active() == [Alarm(77, AlarmKind.CORRUPT)]


def test_another_quota_is_agreed_on(applied: Applied) -> None:
    """Full by one quota, with room by the next; 0 is none."""
    begin(applied, 1)
    assert isinstance(applied.outcomes(PutRequest(key=b"k"))[0], NoSpace)
    ask(applied, RequestKind.SPACE_QUOTA, encode_quota(TERM, 1 << 20))
    assert applied.applier.alarms.active() == []
    applied.put(b"k")
    ask(applied, RequestKind.SPACE_QUOTA, encode_quota(TERM, 0))
    applied.put(b"k", b"v" * (2 << 20))


def test_what_voids_a_measurement(applied: Applied) -> None:
    """Another term, another beginning, a compaction since, or a count that is complete."""
    set_level(applied, 1)
    applied.put(b"k", b"v")
    ask(applied, RequestKind.SPACE_BEGIN, encode_quota(TERM, 100))
    revision = applied.store.current_revision
    base = encode_base(TERM, revision, -1, 200, 0)
    assert isinstance(ask(applied, RequestKind.SPACE_BASE, base, TERM + 1), LeaderChanged)
    late = encode_base(TERM, revision - 1, -1, 200, 0)
    assert isinstance(ask(applied, RequestKind.SPACE_BASE, late), Unavailable)
    applied.compact(revision)
    assert isinstance(ask(applied, RequestKind.SPACE_BASE, base), Unavailable)
    assert not applied.store.ledger.is_complete
    ask(applied, RequestKind.SPACE_BEGIN, encode_quota(TERM, 100))
    again = encode_base(TERM, revision, revision, 200, 0)
    assert ask(applied, RequestKind.SPACE_BASE, again) == b""
    assert isinstance(ask(applied, RequestKind.SPACE_BASE, again), Unavailable)
    assert applied.store.ledger.live == 200


@pytest.mark.parametrize(
    "kind", [RequestKind.SPACE_BEGIN, RequestKind.SPACE_BASE, RequestKind.SPACE_QUOTA]
)
def test_nonsense_is_refused_alike(applied: Applied, kind: RequestKind) -> None:
    """A payload of another length."""
    set_level(applied, 1)
    assert isinstance(ask(applied, kind, b"123"), MalformedRequest)
