"""Alarm: raising, lowering and listing alarms.

Owns: the entry's effect and the answer, as etcd's. Must never do: decide that an alarm is due.
"""

from __future__ import annotations

from raftkv.api.rpc_pb2 import AlarmMember, AlarmRequest, AlarmResponse, AlarmType
from raftkv.apply.alarm_book import Alarm, AlarmBook, AlarmKind, kind_of
from raftkv.apply.header import HeaderEncoder
from raftkv.apply.state import State, parse


def apply_alarm(state: State, payload: bytes, header: HeaderEncoder | None) -> bytes:
    alarms = change_alarms(state.alarms, parse(AlarmRequest, payload))
    return b"" if header is None else alarm_reply(header, state.store.current_revision, alarms)


def change_alarms(book: AlarmBook, request: AlarmRequest) -> list[Alarm]:
    """The alarms that the answer lists. Raising a raised alarm lists it; lowering one that is not
    raised lists nothing, as does raising NONE or a kind or action that nobody knows."""
    kind = kind_of(request.alarm)
    if kind is None:
        return []
    alarm = Alarm(request.memberID, kind)
    match request.action:
        case AlarmRequest.GET:
            return book.active(kind)
        case AlarmRequest.ACTIVATE if kind is not AlarmKind.NONE:
            book.activate(alarm)
            return [alarm]
        case AlarmRequest.DEACTIVATE if book.deactivate(alarm):
            return [alarm]
    return []


def alarm_reply(header: HeaderEncoder, revision: int, alarms: list[Alarm]) -> bytes:
    rows = [AlarmMember(memberID=a.member_id, alarm=AlarmType.ValueType(a.kind)) for a in alarms]
    return header.field(revision) + AlarmResponse(alarms=rows).SerializeToString()
