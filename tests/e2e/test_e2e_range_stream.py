"""KV.RangeStream from a client's side: grpcio; etcd has it from 3.7 on."""

from __future__ import annotations

from collections.abc import Iterator

import grpc
import pytest

from raftkv.api import rpc_pb2 as pb
from tests.e2e.cluster import Cluster

pytestmark = pytest.mark.raftkv_only

KEYS = 1_500
VALUE = b"v" * 4_096


@pytest.fixture(scope="module")
def filled(shared_cluster: Cluster) -> Cluster:
    """Six megabytes under one prefix."""
    api = shared_cluster.api(shared_cluster.leader())
    for first in range(0, KEYS, 100):
        puts = [
            pb.RequestOp(request_put=pb.PutRequest(key=b"stream/%05d" % number, value=VALUE))
            for number in range(first, first + 100)
        ]
        api.txn(success=puts)
    return shared_cluster


def chunks(
    cluster: Cluster, request: pb.RangeRequest, *, at_leader: bool
) -> list[pb.RangeResponse]:
    member = cluster.leader() if at_leader else cluster.follower()
    call = cluster.api(member).channel.unary_stream(
        "/etcdserverpb.KV/RangeStream",
        request_serializer=lambda message: message.SerializeToString(),
        response_deserializer=pb.RangeStreamResponse.FromString,
    )
    return [message.range_response for message in call(request, timeout=20)]


@pytest.mark.parametrize("at_leader", [True, False])
@pytest.mark.parametrize("fields", [{}, {"limit": 700}, {"keys_only": True}, {"count_only": True}])
def test_the_chunks_are_the_list(filled: Cluster, fields: dict[str, int], at_leader: bool) -> None:
    """Merged, they are what Range answers; long lists come in several."""
    request = pb.RangeRequest(key=b"stream/", range_end=b"stream0", **fields)
    found = chunks(filled, request, at_leader=at_leader)
    whole = pb.RangeResponse()
    for chunk in found:
        whole.MergeFrom(chunk)
    api = filled.api(filled.leader())
    expected = api.range(request.key, request.range_end, **fields)
    assert list(whole.kvs) == list(expected.kvs)
    assert (whole.count, whole.more) == (expected.count, expected.more)
    assert whole.header.revision >= expected.kvs[-1].mod_revision if expected.kvs else True
    assert len(found) == 1 if "count_only" in fields else len(found) > 3


def test_a_writer_does_not_disturb(filled: Cluster) -> None:
    """The revision is that of the first chunk, whatever is written before the last."""
    api = filled.api(filled.leader())
    call = api.channel.unary_stream(
        "/etcdserverpb.KV/RangeStream",
        request_serializer=lambda message: message.SerializeToString(),
        response_deserializer=pb.RangeStreamResponse.FromString,
    )(pb.RangeRequest(key=b"stream/", range_end=b"stream0"), timeout=20)
    stream: Iterator[pb.RangeStreamResponse] = iter(call)
    first = next(stream).range_response
    written = api.put(b"stream/99999", b"late").header.revision
    rest = [message.range_response for message in stream]
    assert rest[-1].header.revision < written
    assert sum(len(chunk.kvs) for chunk in [first, *rest]) == KEYS
    api.delete(b"stream/99999")


def test_what_cannot_be_streamed(filled: Cluster) -> None:
    """The code that makes a Kubernetes apiserver fall back to lists in pages."""
    request = pb.RangeRequest(key=b"a", range_end=b"b", sort_order=pb.RangeRequest.DESCEND)
    with pytest.raises(grpc.RpcError) as refused:
        chunks(filled, request, at_leader=True)
    assert refused.value.code() is grpc.StatusCode.UNIMPLEMENTED
