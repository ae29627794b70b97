"""Compact: history below a revision is given up.

Owns: the entry's effect, which is that reads below the revision fail from here on. Removing the
data is the server's background work; whoever asked for ``physical`` waits for that there.
"""

from __future__ import annotations

from raftkv.api.rpc_pb2 import CompactionRequest
from raftkv.apply.header import HeaderEncoder
from raftkv.apply.state import State, parse


def apply_compact(state: State, payload: bytes, header: HeaderEncoder | None) -> bytes:
    request = parse(CompactionRequest, payload)
    state.store.compact(request.revision)
    return b"" if header is None else header.field(state.store.current_revision)
