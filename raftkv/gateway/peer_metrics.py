"""etcd_network_*: the links to the other members.

Owns: the counters that the transport keeps, under etcd's names, and the round trips, which are
taken every SAMPLE_S. Must never do: send anything: a round trip is the kernel's measure of the
link.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from prometheus_client import CollectorRegistry, Histogram
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from raftkv.peer.transport import PeerStatistics

SAMPLE_S = 5.0
# etcd's: 0.1 ms doubled fifteen times.
_BUCKETS = tuple(0.0001 * 2**power for power in range(16))

_BY_PEER: tuple[tuple[str, str, str, Callable[[PeerStatistics], float]], ...] = (
    ("etcd_network_peer_sent_bytes", "To", "Bytes sent to a peer.", lambda s: s.bytes_sent),
    (
        "etcd_network_peer_received_bytes",
        "From",
        "Bytes received from a peer.",
        lambda s: s.bytes_received,
    ),
    (
        "etcd_network_peer_sent_failures",
        "To",
        "Messages that did not leave.",
        lambda s: s.sent_failures,
    ),
)


class PeerMetrics(Collector):
    """Registers itself. ``statistics`` asks the transport; ``me`` is this member's id."""

    def __init__(
        self,
        registry: CollectorRegistry,
        me: int,
        statistics: Callable[[], Sequence[PeerStatistics]],
    ) -> None:
        self._me = f"{me:x}"
        self._statistics = statistics
        self._round_trip = Histogram(
            "etcd_network_peer_round_trip_time_seconds",
            "The kernel's round-trip time of the link to a peer.",
            ("To",),
            registry=registry,
            buckets=_BUCKETS,
        )
        registry.register(self)

    def sample(self) -> None:
        for row in self._statistics():
            if row.round_trip_s is not None:
                self._round_trip.labels(f"{row.peer:x}").observe(row.round_trip_s)

    def describe(self) -> Iterable[Metric]:
        return ()

    def collect(self) -> Iterable[Metric]:
        rows = self._statistics()
        for name, label, text, value in _BY_PEER:
            counter = CounterMetricFamily(name, text, labels=[label])
            for row in rows:
                counter.add_metric([f"{row.peer:x}"], value(row))
            yield counter
        ends = ["Local", "Remote"]
        active = GaugeMetricFamily("etcd_network_active_peers", "Links that are up.", labels=ends)
        known = GaugeMetricFamily("etcd_network_known_peers", "Peers.", labels=ends)
        lost = CounterMetricFamily(
            "etcd_network_disconnected_peers", "Links that were lost.", labels=ends
        )
        for row in rows:
            where = [self._me, f"{row.peer:x}"]
            active.add_metric(where, row.is_open)
            known.add_metric(where, 1)
            lost.add_metric(where, row.disconnects)
        yield from (active, known, lost)
