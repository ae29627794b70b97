"""What one may see of a member from outside: metrics, slow requests, profiles.

Owns: the registry and all that fills it, wired for one process. Must never do: cost the request
path more than the wire's counters.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import replace
from datetime import UTC, datetime

from raftkv.access.outlet import Output
from raftkv.cli.operation_flags import FEATURE_GATES
from raftkv.cli.recording import Recording
from raftkv.cli.tracing import Tracing
from raftkv.gateway.access_metrics import AccessMetrics
from raftkv.gateway.call_metrics import CallMetrics
from raftkv.gateway.member_health import metrics_snapshot
from raftkv.gateway.member_observer import MemberObserver
from raftkv.gateway.metrics import Metrics, MetricsSnapshot
from raftkv.gateway.peer_metrics import SAMPLE_S, PeerMetrics
from raftkv.gateway.profiles import ProfilePages
from raftkv.gateway.talker_pages import TalkerPages
from raftkv.peer.transport import PeerTransport
from raftkv.server.member import Member
from raftkv.server.operations import Operations
from raftkv.wire.calls import NEVER_S, CallBook, SlowCall
from raftkv.wire.grpc import CODE_NAMES
from raftkv.wire.limits import WireLimits
from raftkv.wire.listener import Listener
from raftkv.wire.service import HttpHandler, Service

log = logging.getLogger("raftkv.server")


class Observation:
    """``listeners`` are those of clients; they may come later."""

    def __init__(
        self,
        member: Member,
        transport: PeerTransport,
        listeners: list[Listener],
        access_log: Output | None = None,
    ) -> None:
        self._member = member
        self._listeners = listeners
        self._operations: Operations = member.config.operations
        loop = asyncio.get_running_loop()
        self.metrics = Metrics(self._snapshot)
        registry = self.metrics.registry
        self.times = MemberObserver(registry, self._operations.warning_apply_s)
        member.observe(self.times)
        call_metrics = CallMetrics(registry, extensive=self._operations.extensive_metrics)
        self.calls = CallBook(
            loop.time,
            self._operations.warning_unary_request_s or NEVER_S,
            warn_of_slow_call,
            call_metrics.observer_of,
        )
        call_metrics.show(self.calls)
        self.recording = Recording(member, self._operations, access_log)
        self._tracing = Tracing(member, self._operations.tracing)
        AccessMetrics(registry, self.recording.outlet)
        self._peers = PeerMetrics(registry, member.member_id, transport.statistics)
        self._loop = loop
        self._sample()

    def pages(self, gateway: HttpHandler) -> HttpHandler:
        """``gateway``, with profiles before it where they are served."""
        operations = self._operations
        if operations.serves_profiles or operations.log.level == "debug":
            gateway = ProfilePages(gateway)
        return self.talker_pages(gateway)

    def talker_pages(self, gateway: HttpHandler) -> HttpHandler:
        """``gateway``, with the busiest callers before it where they are found."""
        talkers = self.recording.talkers
        return gateway if talkers is None else TalkerPages(talkers, gateway)

    def watched(self, service: Service) -> Service:
        """``service``, with who records or traces its calls before it, where anybody does."""
        return self.recording.watched(self._tracing.traced(service))

    def close(self) -> None:
        """After the last call."""
        self.recording.close()
        self._tracing.close()

    def _sample(self) -> None:
        self._peers.sample()
        self._loop.call_later(SAMPLE_S, self._sample)

    def _snapshot(self) -> MetricsSnapshot:
        gates = self._operations.feature_gates
        watch = self.calls.counts("etcdserverpb.Watch", "Watch", is_stream=True)
        return metrics_snapshot(
            self._member,
            sent=sum(listener.bytes_sent for listener in self._listeners),
            received=sum(listener.bytes_received for listener in self._listeners),
            watch_streams=watch.started - sum(watch.codes.values()),
            features={
                name: (gates.get(name, default), stage)
                for name, (default, stage) in FEATURE_GATES.items()
            },
        )


def warn_of_slow_call(call: SlowCall) -> None:
    """etcd's line for a request above --warning-unary-request-duration."""
    began = datetime.fromtimestamp(datetime.now(UTC).timestamp() - call.seconds, UTC)
    log.warning(
        "request stats",
        extra={
            "fields": {
                "start time": began.isoformat(),
                "time spent": f"{1000 * call.seconds:.3f}ms",
                "remote": call.peer,
                "response type": call.path,
                "response code": CODE_NAMES[call.code],
                "response size": call.response_bytes,
            }
        },
    )


def wire_limits(limits: WireLimits, operations: Operations) -> WireLimits:
    """``limits`` with what an operator may set of them."""
    streams_max = min(operations.concurrent_streams_max, limits.concurrent_streams_max)
    return replace(
        limits,
        concurrent_streams_max=streams_max,
        keepalive_interval_seconds=operations.keepalive_interval_s,
        keepalive_timeout_seconds=operations.keepalive_timeout_s,
        ping_interval_seconds_min=operations.keepalive_min_time_s,
    )
