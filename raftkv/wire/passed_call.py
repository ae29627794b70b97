"""A unary call that stands between a method and the wire's, and passes its questions on.

Owns: PassedCall, of which those who watch calls make their own. Must never do: answer; whoever is
a ``UnaryCall`` by it says what becomes of an answer.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from raftkv.wire.service import UnaryCall


class PassedCall:
    """``proceed`` is what the method wants called when nobody waits for its answer any more."""

    __slots__ = ("call", "proceed")

    def __init__(self, call: UnaryCall) -> None:
        self.call = call
        self.proceed: Callable[[], object] | None = None

    @property
    def metadata(self) -> Mapping[str, str]:
        return self.call.metadata

    @property
    def deadline(self) -> float | None:
        return self.call.deadline

    @property
    def peer(self) -> str:
        return self.call.peer

    @property
    def peer_common_name(self) -> str:
        return self.call.peer_common_name

    @property
    def cancelled(self) -> bool:
        return self.call.cancelled

    def when_cancelled(self, proceed: Callable[[], object]) -> None:
        self.proceed = proceed
