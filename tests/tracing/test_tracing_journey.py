"""A traced call: its spans follow it through a follower, the log and back, with real OTLP."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from itertools import pairwise

import pytest

from raftkv.api import rpc_pb2 as api
from raftkv.rpc.health import Health
from raftkv.rpc.services import services_of
from raftkv.server.operations import TracingSettings
from raftkv.simulation.cluster import SimulatedCluster
from raftkv.simulation.machine import Machine
from raftkv.tracing.entries import EntryJourneys
from raftkv.tracing.otel import OtelSpans, open_spans
from raftkv.tracing.traced import Tracer, traced
from raftkv.wire.service import Service, Status
from tests.rpc.fake_member import FakeCall
from tests.tracing.collector import Collector, Received

PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
PUT, RANGE = "etcdserverpb.KV/Put", "etcdserverpb.KV/Range"


class TracedCluster:
    """Three simulated members; calls to one of them, followed on virtual time."""

    def __init__(self, url: str, per_million: int) -> None:
        self.cluster = SimulatedCluster(seed=7)
        self.cluster.start_all()
        self.leader = self.cluster.wait_for_leader()
        self.cluster.settle()
        self.follower = next(each for each in self.cluster.machines if each is not self.leader)
        self.tracers: dict[str, Tracer] = {}
        self.spans: list[OtelSpans] = []
        self._kv: dict[str, Service] = {}
        for machine in (self.leader, self.follower):
            self._trace(machine, url, per_million)

    def _trace(self, machine: Machine, url: str, per_million: int) -> None:
        member = machine.running.member
        scheduler = self.cluster.scheduler
        settings = TracingSettings(url, "etcd", machine.name, per_million)
        spans = open_spans(settings, scheduler.now, member.member_id)
        tracer = Tracer(
            spans,
            EntryJourneys(scheduler.now, member.member_id),
            per_million=per_million,
            chance=lambda: 0.5,
            soon=scheduler.call_soon,
        )
        member.trace(tracer.entries)
        services = services_of(member, Health(), lambda service: traced(service, tracer))
        self.spans.append(spans)
        self.tracers[machine.name] = tracer
        self._kv[machine.name] = next(s for s in services if s.name == "etcdserverpb.KV")

    def call(
        self, machine: Machine, method: str, request: bytes, traceparent: str = ""
    ) -> bytes | Status:
        call = FakeCall({"traceparent": traceparent} if traceparent else {})
        self._kv[machine.name].unary[method](request, call)
        assert self.cluster.scheduler.run_until(lambda: bool(call.answers), within_s=20)
        self.cluster.scheduler.run_for(0.5)
        for spans in self.spans:
            spans.flush()
        return call.answers[0]

    def close(self) -> None:
        for spans in self.spans:
            spans.close()
        self.cluster.stop_all()


@pytest.fixture(scope="module")
def collector() -> Iterator[Collector]:
    with Collector() as collector:
        yield collector


@pytest.fixture(scope="module")
def traces(collector: Collector) -> Iterator[TracedCluster]:
    traces = TracedCluster(collector.url, 1_000_000)
    yield traces
    traces.close()


def put(key: bytes) -> bytes:
    return api.PutRequest(key=key, value=b"v").SerializeToString()


def in_order(*spans: Received) -> bool:
    """Whether each begins no earlier than the one before."""
    return all(one.began <= other.began for one, other in pairwise(spans))


def test_a_put_through_a_follower(collector: Collector, traces: TracedCluster) -> None:
    """Its span is below the client's; below it stand the stages, each where the entry was."""
    answer = traces.call(traces.follower, "Put", put(b"k"), PARENT)
    assert isinstance(answer, bytes)
    root, stages = collector.tree(PUT)
    assert root.trace_id == "0af7651916cd43dd8448eb211c80319c"
    assert root.parent_id == "b7ad6b7169203331"
    assert (root.member, root.service) == (traces.follower.name, "etcd")
    assert set(stages) == {"propose", "wal", "commit", "apply", "reply"}
    assert {span.member for span in stages.values()} == {traces.follower.name}
    assert in_order(root, *(stages[name] for name in ("propose", "commit", "apply", "reply")))
    assert in_order(stages["commit"], stages["wal"], stages["apply"])
    for span in stages.values():
        assert root.began <= span.began <= span.ended <= root.ended, span
    # To the leader and back, over a network and two disks that take their time.
    assert stages["commit"].ended - stages["commit"].began > 1_000_000
    assert stages["commit"].began == stages["propose"].ended
    assert stages["wal"].ended <= stages["apply"].began
    index = root.attributes["raft.index"]
    assert 0 < index <= traces.follower.running.member.applied_index
    assert {stages[name].attributes["raft.index"] for name in ("wal", "commit", "apply")} == {index}
    assert root.attributes["rpc.grpc.status_code"] == 0
    assert root.attributes["network.peer.address"] == "127.0.0.1:1"


def test_a_put_on_the_leader(collector: Collector, traces: TracedCluster) -> None:
    """The same stages; it begins a trace of its own where chance says so."""
    traces.call(traces.leader, "Put", put(b"k"))
    root, stages = collector.tree(PUT)
    assert (root.parent_id, root.member) == ("", traces.leader.name)
    assert set(stages) == {"propose", "wal", "commit", "apply", "reply"}
    assert stages["wal"].began < stages["commit"].ended


def test_reads(collector: Collector, traces: TracedCluster) -> None:
    """A linearizable one waits for its round first; a serializable one does not."""
    key = api.RangeRequest(key=b"k").SerializeToString()
    traces.call(traces.follower, "Range", key)
    root, stages = collector.tree(RANGE)
    assert set(stages) == {"linearize", "range", "reply"}
    assert in_order(root, stages["linearize"], stages["range"], stages["reply"])
    assert stages["linearize"].ended > stages["linearize"].began
    traces.call(
        traces.follower, "Range", api.RangeRequest(key=b"k", serializable=True).SerializeToString()
    )
    assert set(collector.tree(RANGE)[1]) == {"range", "reply"}


def test_a_refusal_is_an_error(collector: Collector, traces: TracedCluster) -> None:
    """Its span says so, with the code; there are no stages of a log that it never reached."""
    traces.call(traces.follower, "Put", put(b""))
    root, stages = collector.tree(PUT)
    assert root.is_error
    assert root.attributes["rpc.grpc.status_code"] == 3
    assert not {"propose", "wal", "commit", "apply"} & stages.keys()


def test_nothing_is_left_behind(traces: TracedCluster) -> None:
    """Whatever became of calls, no journey and no batch stays."""
    for machine in (traces.leader, traces.follower):
        for request in (put(b"k"), put(b""), b"\xff"):
            traces.call(machine, "Put", request)
        tracer = traces.tracers[machine.name]
        assert (tracer.open, tracer.entries.batches) == (0, 0)


def test_who_is_sampled(collector: Collector) -> None:
    """With rate 0 only calls whose client samples them; a client that does not is not traced; what
    is no traceparent counts as none."""
    traces = TracedCluster(collector.url, 0)
    before = len(collector.spans)
    for traceparent in ("", PARENT[:-1] + "0", "00-nonsense", "00-" + "0" * 32 + PARENT[35:]):
        traces.call(traces.leader, "Put", put(b"k"), traceparent)
    assert len(collector.spans) == before
    traces.call(traces.leader, "Put", put(b"k"), PARENT)
    assert len(collector.spans) == before + 6
    traces.close()


def test_without_the_packages_the_error_says_what_to_install() -> None:
    """And nothing else needs them: the server's modules are imported without OpenTelemetry."""
    script = (
        "import sys; sys.modules['opentelemetry'] = None\n"
        "import raftkv.cli.process\n"
        "from raftkv.tracing.otel import open_spans\n"
        "from raftkv.server.operations import TracingSettings\n"
        "from raftkv.errors import ConfigError\n"
        "try: open_spans(TracingSettings('http://x'), lambda: 0.0, 1)\n"
        "except ConfigError as e: print(e)\n"
    )
    told = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True
    )
    assert "pip install 'raftkv[otel]'" in told.stdout
