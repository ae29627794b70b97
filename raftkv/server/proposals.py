"""Requests on their way into the log: gathered per turn, then waiting for their entry.

Owns: the queue of requests not yet proposed, the batches in flight by sequence, their deadlines
and bounds. Must never do: know Raft or the wire, or answer a request twice.
A batch whose entry is lost (its leader died before it was committed) is answered with a timeout,
as in etcd: whether it happened is unknown to whoever waits.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from raftkv.apply.batch import encode_batch
from raftkv.errors import (
    RaftKVError,
    RequestTimeout,
    RequestTimeoutLeaderFailure,
    TooManyRequests,
)
from raftkv.server.config import Limits
from raftkv.server.entry_trace import EntryTrace

Outcome = bytes | RaftKVError
Done = Callable[[Outcome], None]

FORWARDED_BATCHES_MAX = 4
"""A follower's batches on their way to the leader at once; more gather into the next."""


@dataclass(slots=True)
class _InFlight:
    done: list[Done]
    bytes: int
    proposed_at: float
    deadline: float


class Proposals:
    """``origin`` and the ever-growing sequence name a batch across restarts and duplicates."""

    def __init__(
        self, *, origin: int, first_sequence: int, limits: Limits, timeout_s: float
    ) -> None:
        self._origin = origin
        self._sequence = first_sequence
        self._limits = limits
        self._timeout_s = timeout_s
        self._queue: deque[tuple[int, bytes, Done]] = deque()
        self._queued_at: deque[tuple[float, int]] = deque()
        self._in_flight: dict[int, _InFlight] = {}
        self._bytes = 0
        self._count = 0
        self.failed = 0
        self.trace: EntryTrace | None = None

    @property
    def pending(self) -> int:
        return self._count

    @property
    def batches_in_flight(self) -> int:
        return len(self._in_flight)

    @property
    def queued(self) -> bool:
        return bool(self._queue)

    def add(self, kind: int, payload: bytes, done: Done, now: float) -> None:
        """Queue one request. Raises TooManyRequests at the member's bounds."""
        limits = self._limits
        if self._count >= limits.pending_requests_max:
            raise TooManyRequests(f"{self._count} requests wait, the limit is as many")
        if self._bytes + len(payload) > limits.pending_bytes_max:
            raise TooManyRequests(
                f"{self._bytes} bytes of requests wait, the limit is {limits.pending_bytes_max}"
            )
        if self.trace is not None:
            done = self.trace.proposed(done)
        self._count += 1
        self._bytes += len(payload)
        self._queue.append((kind, payload, done))
        if not self._queued_at or self._queued_at[-1][0] != now:
            self._queued_at.append((now, 1))
        else:
            self._queued_at[-1] = (now, self._queued_at[-1][1] + 1)

    def peek(self) -> tuple[int, bytes, int] | None:
        """The next batch as (sequence, encoded bytes, requests), without taking it."""
        if not self._queue:
            return None
        requests: list[tuple[int, bytes]] = []
        size = 0
        for kind, payload, _ in self._queue:
            if requests and size + len(payload) > self._limits.batch_bytes_max:
                break
            requests.append((kind, payload))
            size += len(payload)
        return self._sequence, encode_batch(self._origin, self._sequence, requests), len(requests)

    def take(self, count: int, now: float) -> None:
        """The first ``count`` requests were proposed as one entry: wait for it."""
        assert 0 < count <= len(self._queue), (count, len(self._queue))
        taken = [self._queue.popleft() for _ in range(count)]
        self._forget_queue_times(count)
        if self.trace is not None:
            self.trace.taken(self._sequence, [done for _, _, done in taken])
        self._in_flight[self._sequence] = _InFlight(
            [done for _, _, done in taken],
            sum(len(payload) for _, payload, _ in taken),
            now,
            now + self._timeout_s,
        )
        self._sequence += 1

    def is_in_flight(self, origin: int, sequence: int) -> bool:
        return origin == self._origin and sequence in self._in_flight

    def resolve(self, sequence: int, outcomes: Sequence[Outcome]) -> None:
        """The batch was applied: answer each of its requests."""
        batch = self._in_flight.pop(sequence)
        assert len(outcomes) == len(batch.done), (sequence, len(outcomes), len(batch.done))
        self._count -= len(outcomes)
        self._bytes -= batch.bytes
        for done, outcome in zip(batch.done, outcomes, strict=True):
            done(outcome)

    def expire(self, now: float, leader_lost_at: float) -> None:
        """Answer what has waited too long. ``leader_lost_at``: when a leader was last lost."""
        for sequence, batch in list(self._in_flight.items()):
            if batch.deadline > now:
                break  # insertion order is deadline order
            error: RaftKVError = RequestTimeout("request timed out")
            if leader_lost_at >= batch.proposed_at:
                error = RequestTimeoutLeaderFailure("request timed out after the leader was lost")
            self.failed += len(batch.done)
            self.resolve(sequence, [error] * len(batch.done))
        while self._queued_at and self._queued_at[0][0] + self._timeout_s <= now:
            self._drop_queued(self._queued_at[0][1], RequestTimeout("request timed out: no leader"))

    def overtaken(self, sequences: Mapping[int, int]) -> None:
        """The state is a snapshot's, made with these newest batches by origin: no entry of an
        earlier batch will come. Whether it happened nobody can say; it does not have to wait."""
        newest = sequences.get(self._origin, 0)
        error = RequestTimeout("request timed out: its entry would be within an installed snapshot")
        for sequence in [each for each in self._in_flight if each <= newest]:
            self.failed += len(self._in_flight[sequence].done)
            self.resolve(sequence, [error] * len(self._in_flight[sequence].done))

    def fail_all(self, error: RaftKVError) -> None:
        for sequence, batch in list(self._in_flight.items()):
            self.resolve(sequence, [error] * len(batch.done))
        self._drop_queued(len(self._queue), error)

    def _drop_queued(self, count: int, error: RaftKVError) -> None:
        dropped = [self._queue.popleft() for _ in range(count)]
        self._forget_queue_times(count)
        self._count -= count
        self._bytes -= sum(len(payload) for _, payload, _ in dropped)
        self.failed += count
        for _, _, done in dropped:
            done(error)

    def _forget_queue_times(self, count: int) -> None:
        while count:
            at, here = self._queued_at[0]
            if here > count:
                self._queued_at[0] = (at, here - count)
                return
            self._queued_at.popleft()
            count -= here
