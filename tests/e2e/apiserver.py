"""A Kubernetes apiserver's use of etcd: its requests, shape by shape, and nothing else.

Owns: Apiserver (reads, optimistic writes, the compactor) and ApiserverWatches (many watches on one
stream). They keep a transcript of what they were answered, ids of members aside. Must never do:
retry: the test decides what a lost answer means.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from itertools import cycle
from queue import SimpleQueue
from typing import TypeVar

import grpc
from google.protobuf.message import Message

from raftkv.api import rpc_pb2 as pb
from tests.e2e.api import Api
from tests.e2e.waiting import wait_until

A = TypeVar("A", bound=Message)

COMPACT_KEY = b"compact_rev_key"
HAS_LEADER = (("hasleader", "true"),)
EMPTY_PAGE_KEY = b"\0"


def prefix_end(prefix: bytes) -> bytes:
    return prefix[:-1] + bytes([prefix[-1] + 1])


def told(message: Message) -> str:
    """``message`` as text, without what differs between clusters."""
    copied = type(message)()
    copied.CopyFrom(message)
    header = getattr(copied, "header", None)
    if header is not None:
        for name in ("cluster_id", "member_id", "raft_term"):
            header.ClearField(name)
    return str(copied)


class Apiserver:
    """Asks the members of ``apis`` in turn."""

    def __init__(self, apis: Sequence[Api]) -> None:
        self._apis = cycle(apis)
        self.transcript: list[str] = []

    def create(self, key: bytes, value: bytes, *, lease: int = 0) -> pb.TxnResponse:
        return self._write(key, 0, pb.PutRequest(key=key, value=value, lease=lease))

    def update(self, key: bytes, value: bytes, revision: int) -> pb.TxnResponse:
        return self._write(key, revision, pb.PutRequest(key=key, value=value))

    def delete(self, key: bytes, revision: int) -> pb.TxnResponse:
        return self._write(key, revision, pb.DeleteRangeRequest(key=key))

    def get(self, key: bytes, *, revision: int = 0) -> pb.RangeResponse:
        return self._told(self.api().range(key, limit=1, revision=revision))

    def count(self, prefix: bytes) -> int:
        found = self.api().range(prefix, prefix_end(prefix), count_only=True)
        return int(self._told(found).count)

    def keys(self, prefix: bytes) -> list[bytes]:
        found = self.api().range(prefix, prefix_end(prefix), keys_only=True)
        return [row.key for row in self._told(found).kvs]

    def page(
        self, prefix: bytes, *, after: bytes = b"", limit: int, revision: int = 0
    ) -> pb.RangeResponse:
        """What comes behind ``after``, at ``revision``."""
        start = after + EMPTY_PAGE_KEY if after else prefix
        answer = self.api().range(start, prefix_end(prefix), limit=limit, revision=revision)
        return self._told(answer)

    def list(self, prefix: bytes, *, limit: int) -> tuple[int, list[pb.RangeResponse]]:
        """All pages, at the revision of the first, and that revision."""
        pages = [self.page(prefix, limit=limit)]
        revision = pages[0].header.revision
        while pages[-1].more:
            after = pages[-1].kvs[-1].key
            pages.append(self.page(prefix, after=after, limit=limit, revision=revision))
        return revision, pages

    def compact(self, version: int, revision: int) -> tuple[bool, int]:
        """One turn of the compactor: whether this one won, and the version to come with next."""
        compare = pb.Compare(key=COMPACT_KEY, target=pb.Compare.VERSION, version=version)
        put = pb.PutRequest(key=COMPACT_KEY, value=str(revision).encode())
        answer = self.api().txn(
            compare=[compare],
            success=[pb.RequestOp(request_put=put)],
            failure=[pb.RequestOp(request_range=pb.RangeRequest(key=COMPACT_KEY))],
        )
        self._told(answer)
        if not answer.succeeded:
            return False, int(answer.responses[0].response_range.kvs[0].version)
        return True, version + 1

    def api(self) -> Api:
        return next(self._apis)

    def _write(
        self, key: bytes, revision: int, wanted: pb.PutRequest | pb.DeleteRangeRequest
    ) -> pb.TxnResponse:
        """Exactly one compare and one operation; else the key as it is."""
        then = (
            pb.RequestOp(request_put=wanted)
            if isinstance(wanted, pb.PutRequest)
            else pb.RequestOp(request_delete_range=wanted)
        )
        compare = pb.Compare(key=key, target=pb.Compare.MOD, mod_revision=revision)
        otherwise = pb.RequestOp(request_range=pb.RangeRequest(key=key))
        return self._told(self.api().txn(compare=[compare], success=[then], failure=[otherwise]))

    def _told(self, answer: A) -> A:
        self.transcript.append(told(answer))
        return answer


class ApiserverWatches:
    """One stream with ``hasleader``, and the responses that came on it."""

    def __init__(self, api: Api) -> None:
        self.responses: list[pb.WatchResponse] = []
        self.error: grpc.RpcError | None = None
        self._requests: SimpleQueue[pb.WatchRequest | None] = SimpleQueue()
        self._call = api.channel.stream_stream(
            "/etcdserverpb.Watch/Watch",
            request_serializer=lambda message: message.SerializeToString(),
            response_deserializer=pb.WatchResponse.FromString,
        )(iter(self._requests.get, None), metadata=HAS_LEADER)
        threading.Thread(target=self._pump, daemon=True).start()

    def create(self, prefix: bytes, revision: int) -> int:
        """Watch from ``revision`` on; the watch's id."""
        before = len(self._created())
        create = pb.WatchCreateRequest(
            key=prefix,
            range_end=prefix_end(prefix),
            start_revision=revision,
            prev_kv=True,
            progress_notify=True,
        )
        self._requests.put(pb.WatchRequest(create_request=create))
        self.wait(lambda: len(self._created()) > before, "the watch is created")
        return int(self._created()[-1].watch_id)

    def request_progress(self) -> None:
        self._requests.put(pb.WatchRequest(progress_request=pb.WatchProgressRequest()))

    def events(self, watch_id: int) -> list[str]:
        return [
            told(event)
            for response in list(self.responses)
            if response.watch_id == watch_id
            for event in response.events
        ]

    def progress(self, watch_id: int) -> list[int]:
        """The revisions of the bookmarks that ``watch_id`` got; -1 is the stream's."""
        return [
            int(each.header.revision)
            for each in list(self.responses)
            if each.watch_id == watch_id and not (each.events or each.created or each.canceled)
        ]

    def canceled(self, watch_id: int) -> pb.WatchResponse | None:
        found = [e for e in list(self.responses) if e.watch_id == watch_id and e.canceled]
        return found[0] if found else None

    def wait(self, condition: Callable[[], bool], what: str) -> None:
        def holds() -> bool:
            assert self.error is None, f"the stream ended instead of: {what}: {self.error}"
            return condition()

        wait_until(holds, what)

    def close(self) -> None:
        self._requests.put(None)
        self._call.cancel()

    def _created(self) -> list[pb.WatchResponse]:
        return [response for response in list(self.responses) if response.created]

    def _pump(self) -> None:
        try:
            for response in self._call:
                self.responses.append(response)
        except grpc.RpcError as error:
            self.error = error
