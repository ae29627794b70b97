"""raftkvpb.PrefixQuotas: bounds on what the keys below a prefix may hold, set by root.

Owns: its two methods. Must never do: count, or refuse a write: the entry does, on all members.
"""

from __future__ import annotations

from raftkv.api.prefix_quota_pb2 import PrefixQuotaListRequest, PrefixQuotaRequest
from raftkv.apply.batch import RequestKind
from raftkv.apply.level import LEVEL_0_2
from raftkv.apply.prefix_quota import quotas_reply
from raftkv.apply.state import parse
from raftkv.errors import NotCapable
from raftkv.rpc.errors import status_of
from raftkv.rpc.guard import Guard
from raftkv.rpc.header import Headers
from raftkv.rpc.member import MaintenanceMember
from raftkv.rpc.unary import admitted, read_for, reply_to
from raftkv.wire.service import Service, UnaryCall


def prefix_quota_service(member: MaintenanceMember) -> Service:
    quotas = _PrefixQuotas(member)
    methods = {"Set": quotas.set, "List": quotas.list}
    return Service("raftkvpb.PrefixQuotas", status_of, unary=admitted(member, methods))


class _PrefixQuotas:
    def __init__(self, member: MaintenanceMember) -> None:
        self._member = member
        self._headers = Headers(member)
        self._guard = Guard(member)

    def set(self, payload: bytes, call: UnaryCall) -> None:
        """Root's token may have to be waited for, and the level be lowered meanwhile."""
        parse(PrefixQuotaRequest, payload)
        kind, done = RequestKind.PREFIX_QUOTA, reply_to(call)
        self._guard.propose(kind, payload, call, done, self._check_level)

    def _check_level(self) -> None:
        """Members of the version before could not apply the entry. Raises NotCapable."""
        level = self._member.maintenance.upgrade.level.current
        if level < LEVEL_0_2:
            raise NotCapable(f"the cluster's level is {level}: not all members know prefix quotas")

    def list(self, payload: bytes, call: UnaryCall) -> None:
        """Linearizable."""
        parse(PrefixQuotaListRequest, payload)

        def produce() -> bytes:
            self._guard.may.is_root(self._guard.caller(call))
            return quotas_reply(self._headers.encoder, self._member.store)

        self._member.linearize(read_for(call, produce))
