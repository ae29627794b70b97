"""Rates, latencies, prefixes, log tails and ranges: the numbers and names of a row."""

from __future__ import annotations

import pytest
from prometheus_client import Histogram

from raftkv.api.rpc_pb2 import PutRequest
from raftkv.apply.batch import RequestKind, encode_batch, first_kind
from raftkv.apply.behalf import encode_as_member, encode_as_user
from raftkv.auth.caller import Caller
from raftkv.mvcc.watcher import WatchSpec
from raftkv.raft.message import Entry, EntryType
from raftkv.rpc.watch_stream import WatchStream
from raftkv.ui import prefixes
from raftkv.ui.log_tail import kind_of
from raftkv.ui.member_row import range_text
from raftkv.ui.prefixes import Prefixes, prefix_of
from raftkv.ui.text import from_base64, readable, to_base64
from raftkv.ui.windows import Latencies, Rates
from tests.ui.cluster_feed import Stage, delete, put


def test_latencies_are_those_of_the_last_seconds() -> None:
    """What was measured before the window, or never, does not count."""
    histogram = Histogram("h", "h", registry=None, buckets=(0.001, 0.002, 0.004))
    latencies = Latencies({"fsync": histogram})
    histogram.observe(3.0)
    latencies.sample(0.0)
    assert latencies.quantile_ms("fsync", 0.5) is None
    latencies.sample(1.0)
    assert latencies.quantile_ms("fsync", 0.5) is None
    for _ in range(100):
        histogram.observe(0.0015)
    latencies.sample(2.0)
    assert latencies.quantile_ms("fsync", 0.5) == 1.5
    assert latencies.quantile_ms("fsync", 0.99) == 1.99
    histogram.observe(0.1)
    latencies.sample(3.0)
    assert latencies.quantile_ms("fsync", 1.0) == 4.0, "beyond the last bucket: its bound"
    for second in range(4, 16):
        latencies.sample(float(second))
    assert latencies.quantile_ms("fsync", 0.5) is None


def test_rates_begin_anew_after_a_pause() -> None:
    """Nobody looked in between: what grew meanwhile is no rate of now."""
    rates = Rates()
    assert rates.add(0.0, (5.0,)) == [0.0]
    assert rates.add(1.0, (25.0,)) == [20.0]
    assert rates.add(1.1, (999.0,)) == [20.0], "too soon after the last to count"
    assert rates.add(100.0, (1e6,)) == [0.0]
    assert rates.add(102.0, (1e6 + 4,)) == [2.0]


@pytest.mark.parametrize(
    ("key", "prefix"),
    [
        (b"/registry/pods/ns/name", b"/registry/pods/"),
        (b"/foo/bar", b"/foo/"),
        (b"foo/bar/baz", b"foo/"),
        (b"/foo", b""),
        (b"foo", b""),
        (b"//x", b"//"),
    ],
)
def test_the_prefix_of_a_key(key: bytes, prefix: bytes) -> None:
    """Up to the first slash, or to the second one behind a first."""
    assert prefix_of(key) == prefix


def stage_and_prefixes() -> tuple[Stage, Prefixes]:
    stage = Stage(size=1)
    member = stage.seats[0].member
    return stage, Prefixes(lambda: member.store, member.scheduler.now, member.read_local)


def test_prefixes_with_most_keys_come_first(monkeypatch: pytest.MonkeyPatch) -> None:
    """Counted a bounded piece a step, however many keys there are."""
    stage, found = stage_and_prefixes()
    for n in range(30):
        put(stage, b"/big/%d" % n, b"x" * 10)
    for n in range(5):
        put(stage, b"small/%d" % n, b"")
    monkeypatch.setattr(prefixes, "KEYS_PER_STEP", 10)
    found.step()
    assert sum(each["keys"] for each in found.top()) == 10
    for _ in range(4):
        found.step()
    rows = [(each["prefix"], each["keys"]) for each in found.top()]
    assert rows == [("/big/", 30), ("small/", 5)]
    assert found.top()[0]["bytes"] > 300
    assert not found.is_sampled


def test_a_walk_that_ends_early_is_a_sample(monkeypatch: pytest.MonkeyPatch) -> None:
    """The next goes on behind it, and is one too."""
    stage, found = stage_and_prefixes()
    for n in range(30):
        put(stage, b"%c/x" % (65 + n), b"")
    for name, number in (("KEYS_PER_STEP", 10), ("KEYS_PER_WALK", 20), ("STEPS_BETWEEN_WALKS", 0)):
        monkeypatch.setattr(prefixes, name, number)
    found.step()
    found.step()
    assert found.is_sampled
    assert {each["prefix"] for each in found.top()} <= {f"{chr(65 + n)}/" for n in range(20)}
    for _ in range(2):
        found.step()
    assert found.is_sampled
    assert {each["prefix"] for each in found.top()} <= {f"{chr(65 + n)}/" for n in range(20, 30)}


def test_writes_of_a_prefix_are_rates() -> None:
    """Of puts and deletes alike, of keys that are there no more too."""
    stage, found = stage_and_prefixes()
    put(stage, b"quiet/1", b"")
    found.step()
    found.top()
    for _ in range(5):
        put(stage, b"busy/1", b"")
        delete(stage, b"busy/1")
    found.step()
    found.top()
    stage.run(1)
    for _ in range(5):
        put(stage, b"busy/1", b"")
        delete(stage, b"busy/1")
    found.step()
    rates = {each["prefix"]: each["writes_per_s"] for each in found.top()}
    assert rates["busy/"] > 0
    assert rates["quiet/"] == 0
    found.forget()
    assert found.top() == []


def test_entries_are_called_by_their_first_request() -> None:
    """Also inside of what a user or a member has asked for."""
    put_ = (int(RequestKind.PUT), PutRequest(key=b"k").SerializeToString())
    as_user = encode_as_user(Caller("ann", 7), RequestKind.TXN, b"xyz")
    as_member = encode_as_member(RequestKind.LEASE_EXPIRY, b"xyz")
    assert first_kind(encode_batch(1, 2, [put_, put_])) == RequestKind.PUT
    assert first_kind(encode_batch(1, 2, [(RequestKind.AS_USER, as_user)])) == RequestKind.TXN
    kind = first_kind(encode_batch(1, 2, [(RequestKind.AS_MEMBER, as_member)]))
    assert kind == RequestKind.LEASE_EXPIRY
    assert first_kind(b"") is None
    assert kind_of(Entry(1, 1)) == "empty"
    assert kind_of(Entry(1, 1, b"x", EntryType.CONF_CHANGE)) == "member"
    assert kind_of(Entry(1, 1, encode_batch(1, 2, [put_]))) == "put"
    assert kind_of(Entry(1, 1, encode_batch(1, 2, [(RequestKind.USER_ADD, b"")]))) == "auth"
    assert kind_of(Entry(1, 1, encode_batch(1, 2, [(99, b"")]))) == "other"


def test_base64_and_text() -> None:
    """base64url without padding both ways; text is readable whatever the bytes are."""
    for data in (b"", b"a", b"ab", b"abc", b"\xff\xfe\xfd"):
        assert from_base64(to_base64(data)) == data
        assert "=" not in to_base64(data)
    for bad in ("+", "a b", "é", "=", "a"):
        with pytest.raises(ValueError, match="base64url"):
            from_base64(bad)
    assert readable(b"a\xffb") == "a\\xffb"


def test_watched_ranges_for_people() -> None:
    """A key, a prefix, all from a key on, or both ends."""
    assert range_text(b"k", b"") == "k"
    assert range_text(b"a/", b"a0") == "a/*"
    assert range_text(b"a", b"\0") == "a .."
    assert range_text(b"a", b"c") == "a .. c"


class Outlet:
    """A reader who takes nothing."""

    peer = "10.1.2.3:4567"

    def __init__(self) -> None:
        self.backlog = 0

    def send(self, message: bytes) -> None:
        self.backlog += len(message)

    def send_each(self, head: bytes, middles: list[bytes], tail: bytes) -> None:
        for middle in middles:
            self.send(head + middle + tail)

    def when_drained(self, proceed: object) -> None:
        return


def test_the_slowest_watchers_are_named() -> None:
    """Who reads nothing, what it watches, and by how much it is behind."""
    stage = Stage(size=1)
    seat = stage.seats[0]
    put(stage, b"slow/0", b"")
    stream = WatchStream(seat.member, Outlet())
    stream.create(WatchSpec(b"slow/", b"slow0"), 0, fragment=False, progress_notify=False)
    for n in range(12):
        put(stage, b"slow/%d" % n, b"x" * 500_000)
    row = seat.witness.row()
    (slow,) = row["slowest_watchers"]
    assert (slow["client"], slow["range"]) == ("10.1.2.3:4567", "slow/*")
    assert 0 < slow["behind"] <= 12
    assert slow["backlog_bytes"] > 1_000_000
    assert row["watchers"] == row["watch_streams"] == 1
    stream.close()
    assert seat.witness.row()["slowest_watchers"] == []
