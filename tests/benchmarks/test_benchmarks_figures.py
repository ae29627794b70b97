"""The benchmark's arithmetic: percentiles, ratios, h2load's report, and what is not believed."""

from __future__ import annotations

import pytest

from benchmarks.h2load import parse
from benchmarks.measurement import Better, Metric, percentile
from benchmarks.unary_client import KeySequence
from raftkv.api import rpc_pb2 as pb

REPORT = """
finished in 180.39ms, 5543.67 req/s, 517.77KB/s
requests: 4 total, 4 started, 4 done, 4 succeeded, 0 failed, 0 errored, 0 timeout
status codes: 4 2xx, 0 3xx, 0 4xx, 0 5xx
traffic: 93.40KB (95640) total, 2.07KB (2120) headers (space savings 94.42%), 33.20KB (34000) data
"""
LOG = "1795228700655679\t200\t1000\n1\t200\t2000\n2\t200\t3000\n3\t200\t9000\n"


def test_percentiles_are_of_the_nearest_rank() -> None:
    """Of 1..100, the 50th and 99th are themselves; of one value, every one is that value."""
    values = [float(number) for number in range(100, 0, -1)]
    assert (percentile(values, 0.50), percentile(values, 0.99)) == (50, 99)
    assert percentile([7.0], 0.99) == 7.0


def test_ratio_is_above_one_where_raftkv_is_ahead() -> None:
    """More calls a second, or fewer milliseconds."""
    assert Metric("throughput", "1/s", Better.HIGHER).ratio(raftkv=30, etcd=10) == 3
    assert Metric("p99", "ms", Better.LOWER).ratio(raftkv=10, etcd=30) == 3


def test_h2load_report_is_read() -> None:
    """Requests, time, bytes of answers and percentiles out of a report and a log as h2load's."""
    load = parse(REPORT, LOG)
    assert (load.requests, load.body_bytes) == (4, 34_000)
    assert load.seconds == pytest.approx(0.18039)
    assert load.per_second == pytest.approx(4 / 0.18039)
    assert (load.p50_ms, load.p99_ms) == (2.0, 9.0)


def test_failed_requests_stop_the_benchmark() -> None:
    """A run with errors has no figures."""
    broken = REPORT.replace("4 succeeded, 0 failed", "3 succeeded, 1 failed")
    with pytest.raises(ValueError, match="1 failed"):
        parse(broken, LOG)
    with pytest.raises(ValueError, match="cannot read"):
        parse("h2load: connection refused", "")


def test_key_sequence_makes_valid_puts() -> None:
    """Each message is a PutRequest of the right size; keys differ, and the seed decides them."""
    first, second = (KeySequence(keys=1000, value_bytes=256, seed=1) for _ in range(2))
    drawn = [next(first) for _ in range(50)]
    assert drawn == [next(second) for _ in range(50)]
    puts = [pb.PutRequest.FromString(message) for message in drawn]
    assert {len(put.value) for put in puts} == {256}
    assert len({put.key for put in puts}) > 40
