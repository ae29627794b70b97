"""The benchmark's arithmetic: percentiles, ratios, h2load's report, and what is not believed."""

from __future__ import annotations

from xml.etree import ElementTree

import pytest

from benchmarks import budget, h2load
from benchmarks.flame import flame
from benchmarks.h2load import parse
from benchmarks.load import Load
from benchmarks.measurement import Better, Metric, NotProven, latencies, percentile
from benchmarks.plan import whole_plan
from benchmarks.scripts import KeySequence, PagedListScript, UpdateScript
from benchmarks.unary_work import proven_reads, proven_writes
from raftkv.api import kv_pb2
from raftkv.api import rpc_pb2 as pb

REPORT = """
finished in 180.39ms, 5543.67 req/s, 517.77KB/s
requests: 4 total, 4 started, 4 done, 4 succeeded, 0 failed, 0 errored, 0 timeout
status codes: 4 2xx, 0 3xx, 0 4xx, 0 5xx
traffic: 93.40KB (95640) total, 2.07KB (2120) headers (space savings 94.42%), 33.20KB (34000) data
"""
LOG = "1795228700655679\t200\t1000\n1\t200\t2000\n2\t200\t3000\n3\t200\t9000\n"


def test_percentiles_are_of_the_nearest_rank() -> None:
    """Of 1..1000, each percentile is itself; of one value, every one is that value."""
    values = [float(number) for number in range(1000, 0, -1)]
    assert [percentile(values, share) for share in (0.50, 0.99, 0.999)] == [500, 990, 999]
    assert percentile([7.0], 0.99) == 7.0
    told = {metric.name: value for metric, value in latencies(values, what="get").items()}
    assert told == {"get p50": 500, "get p99": 990, "get p99.9": 999}


def test_ratio_is_above_one_where_raftkv_is_ahead() -> None:
    """More calls a second, or fewer milliseconds."""
    assert Metric("throughput", "1/s", Better.HIGHER).ratio(raftkv=30, etcd=10) == 3
    assert Metric("p99", "ms", Better.LOWER).ratio(raftkv=10, etcd=30) == 3


def test_h2load_report_is_read() -> None:
    """Requests, time, bytes of answers and latencies out of a report and a log as h2load's."""
    load = parse(REPORT, LOG)
    assert (load.requests, load.body_bytes) == (4, 34_000)
    assert load.seconds == pytest.approx(0.18039)
    assert load.per_second == pytest.approx(4 / 0.18039)
    assert load.latencies_ms == [1.0, 2.0, 3.0, 9.0]


def test_failed_requests_stop_the_benchmark() -> None:
    """A run with errors has no figures."""
    broken = REPORT.replace("4 succeeded, 0 failed", "3 succeeded, 1 failed")
    with pytest.raises(ValueError, match="1 failed"):
        parse(broken, LOG)
    with pytest.raises(ValueError, match="cannot read"):
        parse("h2load: connection refused", "")


def test_work_that_was_not_done_has_no_figures() -> None:
    """A put too few, an answer too short: the run is not believed."""
    load = Load(100, 1.0, [1.0] * 100, body_bytes=5_000, warm_up=10)
    assert proven_writes(load, 110, None).facts["revisions"] == 110
    with pytest.raises(NotProven, match="109 new revisions"):
        proven_writes(load, 109, None)
    assert proven_reads(load, 50, None).facts["body_bytes"] == 5_000
    with pytest.raises(NotProven, match="100 reads of 60 B"):
        proven_reads(load, 60, None)


def test_key_sequence_makes_valid_puts() -> None:
    """Each message is a PutRequest of the right size; keys differ, and the seed decides them."""
    first, second = (KeySequence(keys=1000, value_bytes=256, seed=1) for _ in range(2))
    drawn = [next(first) for _ in range(50)]
    assert drawn == [next(second) for _ in range(50)]
    puts = [pb.PutRequest.FromString(message) for message in drawn]
    assert {len(put.value) for put in puts} == {256}
    assert len({put.key for put in puts}) > 40


def test_an_update_is_guarded_by_the_revision_of_the_last_one() -> None:
    """Kubernetes' shape: if mod_revision is what the last answer said, put, else get; and a guard
    that failed is an error, for nobody else writes the key."""
    script = UpdateScript(b"a", 10, revision=0)
    for revision in (0, 7):
        request = pb.TxnRequest.FromString(script.request().message)
        (guard,) = request.compare
        assert (guard.key, guard.target, guard.result) == (b"a", pb.Compare.MOD, pb.Compare.EQUAL)
        assert guard.WhichOneof("target_union") == "mod_revision"
        assert guard.mod_revision == revision
        assert request.success[0].request_put.value == b"v" * 10
        assert request.failure[0].request_range.key == b"a"
        answer = pb.TxnResponse(succeeded=True, header=pb.ResponseHeader(revision=7))
        script.answered(answer.SerializeToString())
    assert script.updates == 2
    with pytest.raises(NotProven, match="revision 7"):
        script.answered(pb.TxnResponse(succeeded=False).SerializeToString())


def test_a_list_in_pages_stays_at_one_revision_and_counts_its_rows() -> None:
    """The next page begins after the last key, at the first page's revision; a row too few is an
    error."""
    script = PagedListScript(b"l/", b"l0", limit=2, rows=3, seconds=0)
    assert script.request() is not None
    rows = [kv_pb2.KeyValue(key=b"l/1"), kv_pb2.KeyValue(key=b"l/2")]
    page = pb.RangeResponse(header=pb.ResponseHeader(revision=9), kvs=rows, more=True)
    script.answered(page.SerializeToString())
    call = script.request()
    assert call is not None
    request = pb.RangeRequest.FromString(call.message)
    assert (request.key, request.range_end, request.revision, request.limit) == (
        b"l/2\0",
        b"l0",
        9,
        2,
    )
    with pytest.raises(NotProven, match="2 rows of 3"):
        script.answered(pb.RangeResponse().SerializeToString())
    script.answered(pb.RangeResponse(kvs=rows[:1]).SerializeToString())
    assert len(script.times_ms) == 1
    assert script.request() is None


def test_the_whole_plan_fits_into_fifteen_minutes() -> None:
    """Every work has a name of its own; those with a target have all rounds, the others fewer."""
    plan = whole_plan()
    names = [planned.work.name for planned in plan.works]
    assert len(set(names)) == len(names)
    assert plan.seconds < 14 * 60
    assert {planned.rounds for planned in plan.works} == {5, 2, 1}
    targeted = [one for one in plan.works if getattr(one.work, "target", None) is not None]
    assert len(targeted) >= 10
    assert {planned.rounds for planned in targeted} == {5}
    assert {planned.work.group for planned in plan.only(["put"]).works} == {"put"}


def test_a_load_that_was_over_too_soon_is_repeated(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that turns out ten times as fast as the short run said gets ten times the requests;
    all that came before the last load is told as warm-up."""
    rates = iter([100.0, 1000.0, 1000.0])
    asked: list[int] = []

    def run(*_: object, requests: int, **__: object) -> Load:
        asked.append(requests)
        return Load(requests, requests / next(rates), [1.0])

    monkeypatch.setattr(h2load, "run", run)
    request = pb.PutRequest()
    load = h2load.calibrated("here:1", "/put", request, clients=1, seconds=2.0, first=50)
    assert asked == [50, 200, 2000]
    assert (load.requests, load.seconds, load.warm_up) == (2000, 2.0, 250)


def test_a_budget_gives_each_stage_its_share_of_the_cpu() -> None:
    """The innermost known frame decides, and a wait for the disk is nobody's CPU."""
    profile = "\n".join(
        (
            "turn (raftkv/server/ready_loop.py:80);put (raftkv/mvcc/write_txn.py:9) 6",
            "turn (raftkv/server/ready_loop.py:80);put (raftkv/backend/environment.py:9) 2",
            "run (uvloop/loop.pyx:9);flush (raftkv/wire/http2.py:120) 1",
            "run (uvloop/loop.pyx:9) 1",
            "write (raftkv/server/persister.py:9);sync (raftkv/wal/disk.py:80) 90",
            "thread (1);_work (raftkv/server/asyncio_runtime.py:99) 50",
        )
    )
    found = budget.budget_of("leader", profile, cpu_seconds=0.001, calls=100)
    assert found.total == pytest.approx(10)
    assert found.stages == pytest.approx(
        {
            "apply: keys, revisions, events": 6,
            "LMDB": 2,
            "reply: frames, socket": 1,
            budget.REST: 1,
        }
    )
    with pytest.raises(ValueError, match="no stack"):
        budget.budget_of("leader", "", 1.0, 1)


def test_a_flame_is_as_wide_as_its_share() -> None:
    """Calls lie on their caller, lines of one function are one box, and names are escaped."""
    stacks = [
        ("run (uvloop/loop.pyx:9);turn (raftkv/server/ready_loop.py:80)", 3),
        ("run (uvloop/loop.pyx:9);turn (raftkv/server/ready_loop.py:90)", 3),
        ("run (uvloop/loop.pyx:9);<lambda> (raftkv/wire/http2.py:1)", 2),
        ("run (uvloop/loop.pyx:9)", 2),
    ]
    picture = ElementTree.fromstring(flame("a <leader>", stacks))
    boxes = {}
    for group in picture.iter("{http://www.w3.org/2000/svg}g"):
        title, rect = group[0].text, group[1]
        boxes[title] = (float(rect.attrib["width"]), float(rect.attrib["y"]))
    assert boxes == {
        "uvloop/loop run: 100.0%": (1000.0, 24.0),
        "server/ready_loop turn: 60.0%": (600.0, 40.0),
        "wire/http2 <lambda>: 20.0%": (200.0, 40.0),
    }
    with pytest.raises(ValueError, match="no stack"):
        flame("nothing", [])
