"""etcd's services called with plain grpcio: for what etcdctl cannot say, or cannot say fast enough.

Owns: Api, one channel to one member. Must never do: retry, or hide an error.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from queue import SimpleQueue
from typing import Any, TypeVar

import grpc
from google.protobuf.message import Message

from raftkv.api import rpc_pb2 as pb

R = TypeVar("R", bound=Message)

_SIZES = [
    ("grpc.max_receive_message_length", -1),
    ("grpc.max_send_message_length", -1),
    ("grpc.use_local_subchannel_pool", 1),
]
_OPTIONS = [
    *_SIZES,
    ("grpc.initial_reconnect_backoff_ms", 50),
    ("grpc.min_reconnect_backoff_ms", 50),
    ("grpc.max_reconnect_backoff_ms", 500),
]


class Api:
    """Calls of KV, Maintenance and Watch on one endpoint; raises grpc.RpcError. Over TLS with
    ``credentials``."""

    def __init__(
        self,
        endpoint: str,
        *,
        timeout_seconds: float = 10.0,
        credentials: grpc.ChannelCredentials | None = None,
    ) -> None:
        self.endpoint = endpoint
        self.timeout_seconds = timeout_seconds
        self.channel = (
            # gRPC cuts a connection attempt that takes longer than the backoff: not with TLS.
            grpc.secure_channel(endpoint, credentials, options=_SIZES)
            if credentials is not None
            else grpc.insecure_channel(endpoint, options=_OPTIONS)
        )
        self._put = self.unary("/etcdserverpb.KV/Put", pb.PutResponse)
        self._range = self.unary("/etcdserverpb.KV/Range", pb.RangeResponse)
        self._delete = self.unary("/etcdserverpb.KV/DeleteRange", pb.DeleteRangeResponse)
        self._txn = self.unary("/etcdserverpb.KV/Txn", pb.TxnResponse)
        self._compact = self.unary("/etcdserverpb.KV/Compact", pb.CompactionResponse)
        self._status = self.unary("/etcdserverpb.Maintenance/Status", pb.StatusResponse)
        self._hash_kv = self.unary("/etcdserverpb.Maintenance/HashKV", pb.HashKVResponse)

    def unary(self, path: str, response: type[R]) -> Callable[..., R]:
        method: Callable[..., R] = self.channel.unary_unary(
            path,
            request_serializer=lambda message: message.SerializeToString(),
            response_deserializer=response.FromString,
        )
        return method

    def put(self, key: bytes, value: bytes, **fields: Any) -> pb.PutResponse:
        return self._call(self._put, pb.PutRequest(key=key, value=value, **fields))

    def range(self, key: bytes, range_end: bytes = b"", **fields: Any) -> pb.RangeResponse:
        return self._call(self._range, pb.RangeRequest(key=key, range_end=range_end, **fields))

    def delete(self, key: bytes, range_end: bytes = b"") -> pb.DeleteRangeResponse:
        return self._call(self._delete, pb.DeleteRangeRequest(key=key, range_end=range_end))

    def txn(self, **fields: Any) -> pb.TxnResponse:
        return self._call(self._txn, pb.TxnRequest(**fields))

    def compact(self, revision: int) -> pb.CompactionResponse:
        return self._call(self._compact, pb.CompactionRequest(revision=revision))

    def status(self) -> pb.StatusResponse:
        return self._call(self._status, pb.StatusRequest())

    def hash_kv(self, revision: int = 0) -> pb.HashKVResponse:
        return self._call(self._hash_kv, pb.HashKVRequest(revision=revision))

    def revision(self) -> int:
        """The store's current revision, read linearizably."""
        return int(self.range(b"\0").header.revision)

    def watch(self, **fields: Any) -> WatchStream:
        return WatchStream(self.channel, pb.WatchCreateRequest(**fields))

    def close(self) -> None:
        self.channel.close()

    def _call(self, method: Callable[..., R], request: Message) -> R:
        return method(request, timeout=self.timeout_seconds)


class WatchStream:
    """One watch on a stream of its own; ``events`` blocks for the next ones."""

    def __init__(self, channel: grpc.Channel, create: pb.WatchCreateRequest) -> None:
        self._requests: SimpleQueue[pb.WatchRequest | None] = SimpleQueue()
        self._requests.put(pb.WatchRequest(create_request=create))
        self._responses: SimpleQueue[pb.WatchResponse | grpc.RpcError] = SimpleQueue()
        call: Any = channel.stream_stream(
            "/etcdserverpb.Watch/Watch",
            request_serializer=lambda message: message.SerializeToString(),
            response_deserializer=pb.WatchResponse.FromString,
        )
        self._call = call(iter(self._requests.get, None))
        threading.Thread(target=self._pump, daemon=True).start()

    def _pump(self) -> None:
        try:
            for response in self._call:
                self._responses.put(response)
        except grpc.RpcError as error:
            self._responses.put(error)

    def response(self, *, seconds: float = 20.0) -> pb.WatchResponse:
        got = self._responses.get(timeout=seconds)
        if isinstance(got, grpc.RpcError):
            raise got
        return got

    def created(self) -> pb.WatchResponse:
        """The answer to the create request; a watch from now on sees all that comes after it."""
        response = self.response()
        assert response.created, f"expected the created response, got {response}"
        return response

    def responses_with_events(self) -> Iterator[pb.WatchResponse]:
        while True:
            response = self.response()
            if response.events:
                yield response

    def close(self) -> None:
        self._requests.put(None)
        self._call.cancel()
