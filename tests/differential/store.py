"""One store under comparison: its channels, its answers as plain values, its one Watch stream.

Owns: Store, and the outcome of a call in a shape that two stores can be compared by: ids of
members and clusters left out, ids of leases that the server chose replaced by their number.
Must never do: judge a difference.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import grpc
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

from raftkv.api import rpc_pb2 as pb
from tests.differential.logins import Logins
from tests.differential.operations import Bytes, KeepAlive, Unary, resolve
from tests.e2e.cluster import Cluster

CALL_SECONDS = 30
TTL_SLACK_S = 10
"""How much less than granted a lease may have left, after an example's few seconds."""

OPAQUE = (pb.StatusResponse, pb.MemberListResponse, pb.HashResponse, pb.HashKVResponse)
"""Answers that tell of the store rather than of its state: that there is one is compared."""

_OPTIONS = [
    ("grpc.max_receive_message_length", -1),
    ("grpc.max_send_message_length", -1),
    ("grpc.use_local_subchannel_pool", 1),
]


@dataclass(frozen=True)
class Outcome:
    """A response's fields, or an error."""

    fields: dict[str, Any] | None = None
    code: str = "OK"
    text: str = ""


def messages(method: str) -> tuple[type[Message], type[Message]]:
    """The classes of request and response of "KV/Range"."""
    service, name = method.split("/")
    found = pb.DESCRIPTOR.services_by_name[service].methods_by_name[name]
    return GetMessageClass(found.input_type), GetMessageClass(found.output_type)


class Store:
    """A running cluster of raftkv or etcd."""

    def __init__(self, cluster: Cluster) -> None:
        self.name = cluster.program.name
        self.cluster = cluster
        self.channels = [
            grpc.insecure_channel(member.endpoint, options=_OPTIONS) for member in cluster.members
        ]
        self.chosen: list[int] = []
        self.base = 0
        self.logins = Logins(self, only_enabled=cluster.program.is_etcd)

    def close(self) -> None:
        for channel in self.channels:
            channel.close()

    def resolved(self, value: Any) -> Any:
        return resolve(value, self.base, self.chosen)

    def request(self, operation: Unary) -> Message:
        return messages(operation.method)[0](**self.resolved(operation.fields))

    def start(self, operation: Unary | Bytes | KeepAlive) -> Any:
        """The call under way; ``finish`` waits for it."""
        channel = self.channels[operation.member % len(self.channels)]
        if len(self.channels) > 1:
            self.catch_up(operation.member)
        if isinstance(operation, KeepAlive):
            ids = self.resolved(operation.leases)
            asked = [pb.LeaseKeepAliveRequest(ID=lease).SerializeToString() for lease in ids]
            path = "/etcdserverpb.Lease/LeaseKeepAlive"
            return channel.stream_stream(path)(
                iter(asked), timeout=CALL_SECONDS, metadata=self.logins.metadata(operation.caller)
            )
        payload = (
            operation.payload
            if isinstance(operation, Bytes)
            else self.request(operation).SerializeToString()
        )
        caller = "" if isinstance(operation, Bytes) else operation.caller
        return channel.unary_unary(f"/etcdserverpb.{operation.method}").future(
            payload, timeout=CALL_SECONDS, metadata=self.logins.metadata(caller)
        )

    def finish(self, operation: Unary | Bytes | KeepAlive, call: Any) -> Outcome:
        try:
            if isinstance(operation, KeepAlive):
                answers = [pb.LeaseKeepAliveResponse.FromString(each) for each in call]
                return Outcome({"answers": [self.plain(each) for each in answers]})
            payload = call.result()
        except grpc.RpcError as error:
            return Outcome(code=error.code().name, text=str(error.details()))
        answer = messages(operation.method)[1].FromString(payload)
        if isinstance(answer, pb.LeaseGrantResponse) and self._chose(operation):
            assert answer.ID > 0, f"{self.name} chose the lease id {answer.ID}"
            self.chosen.append(answer.ID)
        if isinstance(operation, Unary):
            self.logins.succeeded(operation.method, operation.fields, answer)
        return Outcome(self.plain(answer))

    def call(self, method: str, *, token: str = "", **fields: Any) -> Any:
        """A call that must succeed: for what happens between the examples."""
        request, response = messages(method)
        call = self.channels[0].unary_unary(f"/etcdserverpb.{method}")
        payload = request(**fields).SerializeToString()
        metadata = (("token", token),) if token else ()
        return response.FromString(call(payload, timeout=CALL_SECONDS, metadata=metadata))

    def revision(self) -> int:
        return int(self.call("KV/Range", key=b"\0").header.revision)

    def catch_up(self, member: int) -> None:
        """Until the member has applied all that was answered by another."""
        channel = self.channels[member % len(self.channels)]
        channel.unary_unary("/etcdserverpb.Auth/AuthStatus")(b"", timeout=CALL_SECONDS)

    def _chose(self, operation: Unary | Bytes) -> bool:
        if isinstance(operation, Bytes):
            return pb.LeaseGrantRequest.FromString(operation.payload).ID == 0
        return not self.resolved(operation.fields).get("ID")

    def plain(self, message: Message) -> dict[str, Any]:
        """The set fields of ``message``, without what may differ between any two stores."""
        found = {}
        for descriptor, value in message.ListFields():
            name = descriptor.name
            if isinstance(message, pb.ResponseHeader) and name != "revision":
                continue
            if isinstance(value, Message):
                found[name] = self.plain(value)
            elif isinstance(value, Sequence) and not isinstance(value, str | bytes):
                found[name] = [
                    self.plain(each) if isinstance(each, Message) else each for each in value
                ]
            elif name in ("ID", "lease") and value in self.chosen:
                found[name] = f"chosen {self.chosen.index(value)}"
            else:
                found[name] = self.logins.plain(name, value)
        if isinstance(message, OPAQUE):
            return {"header": found.get("header", {})}
        if isinstance(message, pb.LeaseTimeToLiveResponse):
            if 0 <= message.grantedTTL - message.TTL <= TTL_SLACK_S:
                found["TTL"] = message.grantedTTL
            found["keys"] = sorted(message.keys)
        if isinstance(message, pb.LeaseLeasesResponse):
            found["leases"] = sorted(found.get("leases", []), key=repr)
        return found
