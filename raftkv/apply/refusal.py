"""What is refused while an alarm is raised.

Owns: which kinds of request which alarm stops. Must never do: look at anything but the alarms that
entries have raised: all members refuse alike.
"""

from __future__ import annotations

from raftkv.api.rpc_pb2 import TxnRequest
from raftkv.apply.alarm_book import AlarmBook
from raftkv.apply.batch import RequestKind
from raftkv.apply.cost import txn_cost
from raftkv.apply.state import parse
from raftkv.errors import Corrupt, NoSpace, RaftKVError

_STOPPED_BY_CORRUPT = frozenset(
    {
        RequestKind.PUT,
        RequestKind.DELETE_RANGE,
        RequestKind.TXN,
        RequestKind.COMPACT,
        RequestKind.LEASE_GRANT,
        RequestKind.LEASE_REVOKE,
    }
)
_STOPPED_BY_NOSPACE = frozenset({RequestKind.PUT, RequestKind.LEASE_GRANT})


def refusal(alarms: AlarmBook, kind: int, payload: bytes) -> RaftKVError | None:
    """The error that a request of ``kind`` is answered with instead of being applied."""
    if alarms.corrupt and kind in _STOPPED_BY_CORRUPT:
        return Corrupt("the alarm CORRUPT is raised")
    if alarms.no_space and (
        kind in _STOPPED_BY_NOSPACE
        or (kind == RequestKind.TXN and txn_cost(parse(TxnRequest, payload)))
    ):
        return NoSpace("the alarm NOSPACE is raised")
    return None
