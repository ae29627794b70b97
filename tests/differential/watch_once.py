"""One watcher on a stream of its own: may its caller have it, and does it get an event then?

Owns: watched_once. Must never do: judge, or leave the stream open.
"""

from __future__ import annotations

from collections.abc import Iterator
from queue import SimpleQueue

import grpc

from raftkv.api import rpc_pb2 as pb
from tests.differential.operations import WatchOnce
from tests.differential.store import CALL_SECONDS, Outcome, Store

_OPEN_END = b"\0"


def watched_once(store: Store, operation: WatchOnce) -> Outcome:
    """The answers to the create, and to the put if the watcher lives; or how the stream ended."""
    channel = store.channels[operation.member % len(store.channels)]
    store.catch_up(operation.member) if len(store.channels) > 1 else None
    fields = store.resolved(operation.fields)
    requests: SimpleQueue[bytes | None] = SimpleQueue()
    requests.put(pb.WatchRequest(create_request=fields).SerializeToString())
    call = channel.stream_stream("/etcdserverpb.Watch/Watch")(
        iter(requests.get, None),
        timeout=CALL_SECONDS,
        metadata=store.logins.metadata(operation.caller),
    )
    try:
        return Outcome({"answers": _answers(store, fields, call)})
    except grpc.RpcError as error:
        return Outcome(code=error.code().name, text=str(error.details()))
    finally:
        requests.put(None)
        call.cancel()


def _answers(store: Store, fields: dict[str, bytes], call: Iterator[bytes]) -> list[object]:
    created = pb.WatchResponse.FromString(next(call))
    answers: list[object] = [store.plain(created)]
    key = fields.get("key") or _OPEN_END
    end = fields.get("range_end", b"")
    if not created.canceled and (end in (b"", _OPEN_END) or key < end):
        store.call("KV/Put", token=store.logins.root_token(), key=key, value=b"watched")
        answers.append(store.plain(pb.WatchResponse.FromString(next(call))))
    return answers
