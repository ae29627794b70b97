"""etcdctl compaction, and what reads and watches of the compacted past are told."""

from __future__ import annotations

from tests.e2e.api import Api
from tests.e2e.etcdctl import Etcdctl

COMPACTED = "etcdserver: mvcc: required revision has been compacted"
FUTURE = "etcdserver: mvcc: required revision is a future revision"


def test_compaction_drops_the_past(ctl: Etcdctl, prefix: str) -> None:
    """Below the compacted revision reads fail; at it and above they do not."""
    key = prefix + "k"
    first = ctl.put(key, "1")
    second = ctl.put(key, "2")
    ctl.put(key, "3")
    assert ctl.ok("compaction", str(second)) == [f"compacted revision {second}"]
    assert COMPACTED in ctl.fails("get", key, f"--rev={first}")
    assert ctl.ok("get", key, f"--rev={second}", "--print-value-only") == ["2"]
    assert ctl.ok("get", key, "--print-value-only") == ["3"]


def test_physical_compaction_waits(ctl: Etcdctl, prefix: str) -> None:
    """--physical answers when the records are gone; what lives is still there."""
    for number in range(5):
        last = ctl.put(prefix + "k", str(number))
    assert ctl.ok("compaction", "--physical", str(last)) == [f"compacted revision {last}"]
    assert ctl.ok("get", prefix + "k", "--print-value-only") == ["4"]


def test_compaction_of_the_compacted_fails(ctl: Etcdctl, prefix: str) -> None:
    """The same revision cannot be compacted twice, nor one below it."""
    now = ctl.put(prefix + "k", "v")
    ctl.ok("compaction", str(now))
    assert COMPACTED in ctl.fails("compaction", str(now))
    assert COMPACTED in ctl.fails("compaction", str(now - 1))


def test_future_revisions_are_refused(ctl: Etcdctl, prefix: str) -> None:
    """Neither a compaction nor a read may name a revision that is not there yet."""
    now = ctl.put(prefix + "k", "v")
    assert FUTURE in ctl.fails("compaction", str(now + 100))
    assert FUTURE in ctl.fails("get", prefix + "k", f"--rev={now + 100}")


def test_watch_of_the_compacted_is_cancelled(ctl: Etcdctl, prefix: str) -> None:
    """A watch that starts below the compacted revision ends with an error, never in silence."""
    first = ctl.put(prefix + "k", "1")
    now = ctl.put(prefix + "k", "2")
    ctl.ok("compaction", str(now))
    with ctl.watch(prefix + "k", f"--rev={first}") as watch:
        assert watch.ended() != 0
        assert COMPACTED in watch.lines(1)[0]


def test_cancelled_watch_names_the_revision(api: Api, prefix: str) -> None:
    """The cancel response says from which revision on a watch is possible."""
    key = prefix.encode() + b"k"
    first = api.put(key, b"1").header.revision
    now = api.put(key, b"2").header.revision
    api.compact(now)
    watch = api.watch(key=key, start_revision=first)
    watch.created()
    cancelled = watch.response()
    assert (cancelled.canceled, cancelled.compact_revision) == (True, now)
    assert not cancelled.events
    watch.close()


def test_watch_at_the_compacted_revision(api: Api, prefix: str) -> None:
    """The compacted revision itself is still a start."""
    key = prefix.encode() + b"k"
    now = api.put(key, b"1").header.revision
    api.compact(now)
    watch = api.watch(key=key, start_revision=now)
    watch.created()
    assert next(watch.responses_with_events()).events[0].kv.mod_revision == now
    watch.close()


def test_deleted_keys_vanish(ctl: Etcdctl, prefix: str) -> None:
    """A key deleted before the compaction is gone, and can come back as a new one."""
    ctl.put(prefix + "k", "old")
    ctl.ok("del", prefix + "k")
    now = ctl.put(prefix + "other", "v")
    ctl.ok("compaction", "--physical", str(now))
    assert ctl.keys(prefix, "--prefix") == [prefix + "other"]
    made = ctl.put(prefix + "k", "new")
    (row,) = ctl.json("get", prefix + "k")["kvs"]
    assert (row["create_revision"], row["version"]) == (made, 1)
