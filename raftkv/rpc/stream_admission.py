"""How a stream is admitted, and ended when the cluster has had no leader for too long.

Owns: the checks that every streaming method makes first, in etcd's order, and what the metadata
``hasleader`` asks for while the stream is open. Must never do: cost anything to a stream without
it.
"""

from __future__ import annotations

import asyncio

from raftkv.errors import LearnerNotServed, NoLeader
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


async def _with_leader(member: Led, method: StreamMethod, stream: Stream) -> None:
    """Serve until the leader is lost for too long. Raises NoLeader then."""
    task = asyncio.current_task()
    assert task is not None, "a stream is served by a task"
    cancelled_before = task.cancelling()
    is_lost = False

    def lost() -> None:
        nonlocal is_lost
        is_lost = True
        task.cancel()

    member.leader_loss.tell(lost)
    try:
        await method(stream)
    except asyncio.CancelledError:
        if is_lost and task.uncancel() <= cancelled_before:
            raise NoLeader("no leader was known for three election timeouts") from None
        raise
    finally:
        member.leader_loss.forget(lost)
