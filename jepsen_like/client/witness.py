"""A client that watches every key for the whole of a run, wherever it can.

Owns: going on, at the next member, where the last watch ended. What it saw tells the checkers which
of the unanswered writes happened. Must never do: count on one member, or fill a gap: what was
compacted before it was seen stays unseen.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from itertools import cycle

from jepsen_like.client.member_client import MemberClient
from jepsen_like.client.recorder import Recorder
from jepsen_like.client.watch_stream import watch
from jepsen_like.workloads.witness import next_stretch, seen_after

STRETCH_S = 2.0
LOST_WAIT_S = 0.1
"""Before the next member is tried: a dead one ends the stream at once."""


async def witness(process: int, clients: Mapping[str, MemberClient], recorder: Recorder) -> None:
    """Until it is cancelled; each stretch is on record when it ends."""
    seen_revision = 0
    for member in cycle(clients):
        step = next_stretch(seen_revision, STRETCH_S)
        seen = await watch(process, member, clients[member], step, recorder.now_s)
        recorder.watch(seen)
        seen_revision = seen_after(seen, seen_revision)
        if not seen.responses:
            await asyncio.sleep(LOST_WAIT_S)
