"""-w fields: one "Name" : value per line.

Owns: etcdctl's names and their order. Must never do: print.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from raftkv.api import rpc_pb2 as api
from raftkv.api.kv_pb2 import Event, KeyValue
from raftkv.cli.ctl.go_text import quoted


def field(name: str, value: object) -> str:
    if isinstance(value, bool):
        return f'"{name}" : {str(value).lower()}'
    return f'"{name}" : {quoted(value) if isinstance(value, str | bytes) else value}'


def header_lines(header: api.ResponseHeader) -> list[str]:
    return [
        field("ClusterID", header.cluster_id),
        field("MemberID", header.member_id),
        field("Revision", header.revision),
        field("RaftTerm", header.raft_term),
    ]


def kv_lines(kv: KeyValue, prefix: str = "") -> list[str]:
    return [
        field(f"{prefix}Key", kv.key),
        field(f"{prefix}CreateRevision", kv.create_revision),
        field(f"{prefix}ModRevision", kv.mod_revision),
        field(f"{prefix}Version", kv.version),
        field(f"{prefix}Value", kv.value),
        field(f"{prefix}Lease", kv.lease),
    ]


def range_lines(response: api.RangeResponse) -> list[str]:
    return [
        *header_lines(response.header),
        *(line for kv in response.kvs for line in kv_lines(kv)),
        field("More", response.more),
        field("Count", response.count),
    ]


def put_lines(response: api.PutResponse) -> list[str]:
    lines = header_lines(response.header)
    return lines + kv_lines(response.prev_kv, "Prev") if response.HasField("prev_kv") else lines


def delete_lines(response: api.DeleteRangeResponse) -> list[str]:
    return [
        *header_lines(response.header),
        field("Deleted", response.deleted),
        *(line for kv in response.prev_kvs for line in kv_lines(kv, "Prev")),
    ]


def txn_lines(response: api.TxnResponse) -> Iterator[str]:
    yield from header_lines(response.header)
    yield field("Succeeded", response.succeeded)
    for each in response.responses:
        match each.WhichOneof("response"):
            case "response_range":
                yield from range_lines(each.response_range)
            case "response_put":
                yield from put_lines(each.response_put)
            case "response_delete_range":
                yield from delete_lines(each.response_delete_range)


def watch_lines(response: api.WatchResponse) -> Iterator[str]:
    yield from header_lines(response.header)
    for event in response.events:
        yield f'"Type" : {Event.EventType.Name(event.type)}'
        if event.HasField("prev_kv"):
            yield from kv_lines(event.prev_kv, "Prev")
        yield from kv_lines(event.kv)


def named_lines(header: api.ResponseHeader, pairs: Iterable[tuple[str, Any]]) -> list[str]:
    return [*header_lines(header), *(field(name, value) for name, value in pairs)]


def member_lines(response: api.MemberListResponse) -> Iterator[str]:
    yield from header_lines(response.header)
    for member in response.members:
        yield field("ID", member.ID)
        yield field("Name", member.name)
        yield from (field("PeerURL", url) for url in member.peerURLs)
        yield from (field("ClientURL", url) for url in member.clientURLs)
        yield field("IsLearner", member.isLearner)
        yield ""
