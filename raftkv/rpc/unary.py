"""How a unary call is admitted, and answered later.

Owns: the callbacks that carry a member's answer to the call that waits for it, and the check that
every method makes first. Must never do: raise into the member's loop: whatever goes wrong while
an answer is made is that call's answer.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Mapping

from raftkv.errors import LearnerNotServed, NoLeader, RaftKVError
from raftkv.rpc.errors import status_of
from raftkv.rpc.member import Done, Led, Proceed
from raftkv.wire.service import UnaryCall, UnaryMethod


def reply_to(call: UnaryCall) -> Done:
    """The callback of a proposal. A call that was cancelled meanwhile ignores its answer; what
    was proposed happens all the same."""

    def done(outcome: bytes | RaftKVError) -> None:
        if isinstance(outcome, bytes):
            call.reply(outcome)
        else:
            call.fail(status_of(outcome))

    return done


Reply = bytes | list[bytes] | None
"""A message, or the pieces of one, or None: the call is answered in a later turn."""


def read_for(call: UnaryCall, produce: Callable[[], Reply]) -> Proceed:
    """The callback of a read: ``produce`` makes the reply, unless the read failed, or is not
    wanted any more."""

    def proceed(error: RaftKVError | None) -> None:
        if error is not None:
            call.fail(status_of(error))
        elif not call.cancelled:
            answer(call, produce)

    return proceed


def fail_with(call: UnaryCall) -> Callable[[BaseException], None]:
    return lambda error: call.fail(status_of(error))


def answer(call: UnaryCall, produce: Callable[[], Reply]) -> None:
    try:
        reply = produce()
    except Exception as error:  # noqa: BLE001 - one call's failure must not reach the next call
        call.fail(status_of(error))
    else:
        if isinstance(reply, bytes):
            call.reply(reply)
        elif reply is not None:
            call.reply_in_pieces(reply)


def admitted(
    member: Led, methods: Mapping[str, UnaryMethod], *, by_learners: Container[str] = ()
) -> dict[str, UnaryMethod]:
    """``methods``, refusing calls on a learner but of those ``by_learners``, and calls that ask for
    a leader (metadata ``hasleader``) without one. In etcd's order."""
    return {
        name: _admitted(member, method, by_learners=name in by_learners)
        for name, method in methods.items()
    }


def _admitted(member: Led, method: UnaryMethod, *, by_learners: bool) -> UnaryMethod:
    def admit(payload: bytes, call: UnaryCall) -> None:
        if member.serves_as_learner and not by_learners:
            raise LearnerNotServed("this member is a learner")
        if not member.leader_id and call.metadata.get("hasleader") == "true":
            raise NoLeader("the call asks for a leader, and none is known")
        method(payload, call)

    return admit
