"""etcdctl watch: past and coming events, on the leader and a follower, on one stream or many."""

from __future__ import annotations

import pytest

from raftkv.api import kv_pb2
from tests.e2e.api import Api
from tests.e2e.cluster import Cluster
from tests.e2e.etcdctl import Etcdctl


def test_watch_from_a_past_revision(ctl: Etcdctl, prefix: str) -> None:
    """--rev replays what happened since, puts and deletes, in order, and then follows."""
    key = prefix + "k"
    first = ctl.put(key, "1")
    ctl.put(key, "2")
    ctl.ok("del", key)
    with ctl.watch(key, f"--rev={first}") as watch:
        assert watch.lines(6) == ["PUT", key, "1", "PUT", key, "2"]
        assert watch.lines(3) == ["DELETE", key, ""]
        ctl.put(key, "3")
        assert watch.lines(3) == ["PUT", key, "3"]


def test_watch_of_a_prefix(ctl: Etcdctl, prefix: str) -> None:
    """--prefix shows every key below, and nothing else."""
    first = ctl.put(prefix + "a", "1")
    ctl.put("elsewhere/" + prefix, "x")
    ctl.put(prefix + "b", "2")
    with ctl.watch(prefix, "--prefix", f"--rev={first}") as watch:
        assert watch.lines(6) == ["PUT", prefix + "a", "1", "PUT", prefix + "b", "2"]


def test_watch_of_a_range(ctl: Etcdctl, prefix: str) -> None:
    """watch KEY END shows [KEY, END)."""
    first = ctl.put(prefix + "a", "1")
    for name in "bcd":
        ctl.put(prefix + name, "x")
    with ctl.watch(prefix + "b", prefix + "d", f"--rev={first}") as watch:
        assert watch.lines(6) == ["PUT", prefix + "b", "x", "PUT", prefix + "c", "x"]


def test_watch_shows_previous_pairs(ctl: Etcdctl, prefix: str) -> None:
    """--prev-kv prints the pair before each update and delete."""
    key = prefix + "k"
    first = ctl.put(key, "1")
    ctl.put(key, "2")
    ctl.ok("del", key)
    with ctl.watch(key, "--prev-kv", f"--rev={first}") as watch:
        assert watch.lines(3) == ["PUT", key, "1"]
        assert watch.lines(5) == ["PUT", key, "1", key, "2"]
        assert watch.lines(5) == ["DELETE", key, "2", key, ""]


def test_watch_for_what_is_to_come(ctl: Etcdctl, prefix: str) -> None:
    """A watch from a revision that does not exist yet waits for it."""
    key = prefix + "k"
    now = ctl.put(key, "1")
    with ctl.watch(key, f"--rev={now + 2}") as watch:
        ctl.put(key, "2")
        ctl.put(key, "3")
        assert watch.lines(3) == ["PUT", key, "3"]


def test_interactive_watches_share_a_stream(ctl: Etcdctl, prefix: str) -> None:
    """-i takes watches from standard input; each gets its own events."""
    first = ctl.put(prefix + "a", "1")
    ctl.put(prefix + "b", "2")
    with ctl.watch("-i") as watch:
        watch.type(f"watch --rev={first} {prefix}a")
        assert watch.lines(3) == ["PUT", prefix + "a", "1"]
        watch.type(f"watch --rev={first} {prefix}b")
        assert watch.lines(3) == ["PUT", prefix + "b", "2"]
        ctl.put(prefix + "b", "3")
        assert watch.lines(3) == ["PUT", prefix + "b", "3"]
        ctl.put(prefix + "a", "4")
        assert watch.lines(3) == ["PUT", prefix + "a", "4"]


def test_watch_runs_a_command(ctl: Etcdctl, prefix: str) -> None:
    """`watch KEY -- COMMAND` runs the command for each event, with the event in its environment."""
    key = prefix + "k"
    first = ctl.put(key, "seen")
    with ctl.watch(f"--rev={first}", key, "--", "sh", "-c", "echo got $ETCD_WATCH_VALUE") as watch:
        assert watch.lines(4) == ["PUT", key, "seen", 'got "seen"']


def test_watch_from_now_misses_nothing(api: Api, prefix: str) -> None:
    """After the created response every later write is delivered, once, one revision a response."""
    key = prefix.encode() + b"k"
    watch = api.watch(key=key)
    created = watch.created()
    made = [api.put(key, b"%d" % n).header.revision for n in range(50)]
    assert created.header.revision < made[0]
    responses = watch.responses_with_events()
    got = [next(responses) for _ in made]
    assert [[event.kv.mod_revision for event in one.events] for one in got] == [[r] for r in made]
    watch.close()


def test_events_carry_what_etcds_do(api: Api, prefix: str) -> None:
    """A delete has key and mod_revision alone; prev_kv is the pair before; a create has none."""
    key = prefix.encode() + b"k"
    watch = api.watch(key=key, prev_kv=True)
    watch.created()
    made = api.put(key, b"1").header.revision
    api.put(key, b"2")
    api.delete(key)
    responses = watch.responses_with_events()
    create, update, delete = (next(responses).events[0] for _ in range(3))
    assert create.kv.create_revision == create.kv.mod_revision == made
    assert not create.HasField("prev_kv")
    assert (update.prev_kv.value, update.prev_kv.mod_revision) == (b"1", made)
    assert delete.type == kv_pb2.Event.DELETE
    assert delete.kv == kv_pb2.KeyValue(key=key, mod_revision=made + 2)
    assert delete.prev_kv.value == b"2"
    watch.close()


@pytest.mark.parametrize(("filters", "expected"), [([0], ["DELETE"]), ([1], ["PUT", "PUT"])])
def test_filters(api: Api, prefix: str, filters: list[int], expected: list[str]) -> None:
    """NOPUT and NODELETE leave events out at the server."""
    key = prefix.encode() + b"k"
    first = api.put(key, b"1").header.revision
    api.delete(key)
    api.put(key, b"2")
    watch = api.watch(key=key, start_revision=first, filters=filters)
    got: list[str] = []
    for response in watch.responses_with_events():
        got += [kv_pb2.Event.EventType.Name(event.type) for event in response.events]
        if len(got) >= len(expected):
            break
    assert got == expected
    watch.close()


def test_write_here_event_there(shared_cluster: Cluster, prefix: str) -> None:
    """A watch on one member sees what was written through each of the others."""
    for watched in shared_cluster.members:
        # A member may be a bit behind the cluster: "from now on" would mean from its own now.
        now = shared_cluster.api(watched).revision()
        watch = shared_cluster.api(watched).watch(
            key=prefix.encode() + b"k", start_revision=now + 1
        )
        responses = watch.responses_with_events()
        for writer in shared_cluster.members:
            made = shared_cluster.api(writer).put(prefix.encode() + b"k", writer.name.encode())
            event = next(responses).events[0]
            assert (event.kv.mod_revision, event.kv.value) == (
                made.header.revision,
                writer.name.encode(),
            )
        watch.close()
