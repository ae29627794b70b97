"""How a stream is admitted, and ended when there is no leader for too long, or the data is wrong.

Owns: the checks that every streaming method makes first, in etcd's order, and what the metadata
``hasleader`` asks for while the stream is open. Must never do: cost anything to a stream without
it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from raftkv.errors import LearnerNotServed, NoLeader, RaftKVError
from raftkv.rpc.member import Led
from raftkv.wire.service import Stream, StreamMethod


def admitted_stream(
    member: Led, method: StreamMethod, *, by_learners: bool = False
) -> StreamMethod:
    """``method``, refusing on a learner and, for whom asks for a leader, without one."""

    async def admit(stream: Stream) -> None:
        if member.serves_as_learner and not by_learners:
            raise LearnerNotServed("this member is a learner")
        if stream.metadata.get("hasleader") != "true":
            await method(stream)
            return
        if not member.leader_id:
            raise NoLeader("the stream asks for a leader, and none is known")
        await _with_leader(member, method, stream)

    return admit


def healthy_stream(member: Led, method: StreamMethod) -> StreamMethod:
    """``method``, refused and ended while this member's data is wrong: another member serves."""

    async def serve(stream: Stream) -> None:
        quarantine = member.quarantine
        if quarantine.is_on:
            raise quarantine.refusal
        await _until_told(
            quarantine.tell, quarantine.forget, lambda: quarantine.refusal, method, stream
        )

    return serve


async def _with_leader(member: Led, method: StreamMethod, stream: Stream) -> None:
    """Serve until the leader is lost for too long. Raises NoLeader then."""
    loss = member.leader_loss
    await _until_told(loss.tell, loss.forget, _no_leader, method, stream)


def _no_leader() -> RaftKVError:
    return NoLeader("no leader was known for three election timeouts")


async def _until_told(
    tell: Callable[[Callable[[], None]], None],
    forget: Callable[[Callable[[], None]], None],
    reason: Callable[[], RaftKVError],
    method: StreamMethod,
    stream: Stream,
) -> None:
    task = asyncio.current_task()
    assert task is not None, "a stream is served by a task"
    cancelled_before = task.cancelling()
    is_lost = False

    def lost() -> None:
        nonlocal is_lost
        is_lost = True
        task.cancel()

    tell(lost)
    try:
        await method(stream)
    except asyncio.CancelledError:
        if is_lost and task.uncancel() <= cancelled_before:
            raise reason() from None
        raise
    finally:
        forget(lost)
