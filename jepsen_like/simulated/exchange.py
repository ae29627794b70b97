"""One request to one simulated member, and its one outcome.

Owns: the way there and back, with delays, and what a client makes of silence. Must never do: hide
a bug: what a service raises that is no error of raftkv's ends the run.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from random import Random

from jepsen_like.client.codec import decode, encode, method_of
from jepsen_like.client.errors import CODES, outcome_of
from jepsen_like.history.request import KeepAlive, Request
from jepsen_like.history.result import Outcome, Refused, Unknown
from raftkv.errors import RaftKVError
from raftkv.rpc.errors import status_of
from raftkv.rpc.keep_alives import KeepAlives
from raftkv.rpc.kv import kv_service
from raftkv.rpc.lease import lease_service
from raftkv.simulation.machine import Machine, MemberProcess
from raftkv.simulation.scheduler import VirtualScheduler
from raftkv.wire.service import Status

TIMEOUT_S = 2.0
LATENCY_S = (0.0001, 0.001)
LEASE_SERVICE = "etcdserverpb.Lease"


class _Call:
    """``UnaryCall`` whose answer travels back."""

    metadata: Mapping[str, str] = {}
    deadline: float | None = None
    peer = "client"
    peer_common_name = ""
    cancelled = False

    def __init__(self, answered: Callable[[bytes | Status], None]) -> None:
        self.reply = answered
        self.fail = answered

    def reply_in_pieces(self, pieces: Sequence[bytes]) -> None:
        self.reply(b"".join(pieces))

    def when_cancelled(self, proceed: Callable[[], object]) -> None:
        """Never: a simulated client that gives up just stops listening."""


class Exchange:
    """``start`` it; ``done`` is called once, at the latest after TIMEOUT_S."""

    def __init__(
        self, world: VirtualScheduler, machine: Machine, request: Request, random: Random
    ) -> None:
        self._world = world
        self._machine = machine
        self._method = method_of(request)
        self._payload = encode(request).SerializeToString()
        self._keeps_alive = isinstance(request, KeepAlive)
        self._random = random
        self._done: Callable[[Outcome], None] | None = None

    def start(self, done: Callable[[Outcome], None]) -> None:
        self._done = done
        timeout = Unknown("DEADLINE_EXCEEDED", f"no answer within {TIMEOUT_S} s")
        self._timer = self._world.call_later(TIMEOUT_S, partial(self._finish, timeout))
        self._travel(self._arrive)

    def _travel(self, arrive: Callable[[], None]) -> None:
        self._world.call_later(self._random.uniform(*LATENCY_S), arrive)

    def _arrive(self) -> None:
        process = self._machine.process
        if process is None:
            refused = Refused("UNAVAILABLE", "connection refused")
            self._travel(partial(self._finish, refused))
        else:
            process.clock.enter(partial(self._serve, process))

    def _serve(self, process: MemberProcess) -> None:
        member, call = process.member, _Call(self._answered)
        try:
            if self._keeps_alive:
                keep_alives = KeepAlives(member, call, self._answered, self._failed)
                keep_alives.take_request(self._payload)
                return
            is_lease = self._method.service == LEASE_SERVICE
            service = lease_service(member) if is_lease else kv_service(member)
            service.unary[self._method.name](self._payload, call)
        except RaftKVError as error:
            self._failed(error)

    def _failed(self, error: RaftKVError) -> None:
        self._answered(status_of(error))

    def _answered(self, answer: bytes | Status) -> None:
        """On the member's side."""
        self._travel(partial(self._receive, answer))

    def _receive(self, answer: bytes | Status) -> None:
        if isinstance(answer, Status):
            self._finish(outcome_of(CODES[answer.code], answer.message))
        else:
            message = self._method.answer()
            message.ParseFromString(answer)
            self._finish(decode(message))

    def _finish(self, outcome: Outcome) -> None:
        if self._done is not None:
            done, self._done = self._done, None
            self._timer.cancel()
            done(outcome)
