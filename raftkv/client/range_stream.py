"""A long range in chunks, as KV.RangeStream gives it (etcd 3.7 and raftkv).

Owns: the stream's end and its errors. Must never do: begin again by itself: a second stream may
show another revision.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import grpc

from raftkv.api.rpc_pb2 import RangeRequest, RangeResponse, RangeStreamResponse
from raftkv.client.calls import error_of
from raftkv.client.login import Metadata

_METHOD = "/etcdserverpb.KV/RangeStream"


async def range_chunks(
    channel: grpc.aio.Channel, request: RangeRequest, metadata: Metadata = ()
) -> AsyncIterator[RangeResponse]:
    """The chunks as they come; the last one alone has header, ``more`` and ``count``. Raises the
    error that etcd names."""
    call: Any = channel.unary_stream(
        _METHOD,
        request_serializer=RangeRequest.SerializeToString,
        response_deserializer=RangeStreamResponse.FromString,
    )(request, metadata=metadata)
    try:
        async for message in call:
            yield message.range_response
    except grpc.aio.AioRpcError as e:
        raise error_of(e) from e
    finally:
        call.cancel()
