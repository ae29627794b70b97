"""A leader whose disk stands still gives its place to a member whose disk does not.

Owns: the rule when, and to whom. Must never do: measure a disk, or give the place away on a guess.
While the leader's write hangs, its heartbeats go on: nobody else stands for election, and nothing
that its own clients ask is applied. etcd's leader falls silent in that case, for one loop of it
writes and beats, and is voted out; ours hands over by itself (Raft thesis, 3.10).

It cannot flap. The place is given up only when a quorum has made durable and so committed what the
leader has not, and a whole election timeout has passed since: others vote and write faster than we
do, by evidence. Where a quorum is as slow as its leader, another one would be no better.
"""

from __future__ import annotations

import logging

from raftkv.log_fields import fields, hex_id
from raftkv.raft.raw_node import RawNode
from raftkv.server.config import ServerConfig
from raftkv.server.persister import Persister

log = logging.getLogger("raftkv.server")


class DiskWatch:
    """For one election timeout the leader may lag behind a quorum with one write, and as long one
    try to hand over may take."""

    def __init__(self, node: RawNode, persister: Persister, config: ServerConfig) -> None:
        self._node = node
        self._persister = persister
        self._patience_s = config.election_timeout_ms / 1000
        self._write: float | None = None
        self._waiting_since = 0.0

    def tick(self, now: float) -> None:
        """Once a tick of the member, before its turn: that turn sends what is decided here."""
        write = self._persister.writing_since
        if write is None or not self._node.is_leader or not self._is_behind():
            self._write = None
        elif write != self._write:
            self._write, self._waiting_since = write, now
        elif now - self._waiting_since >= self._patience_s:
            successor = self._successor()
            if successor is not None:
                self._waiting_since = now
                self._hand_over(successor, now - write)

    def _is_behind(self) -> bool:
        """Whether a quorum has durable what our own disk has not."""
        node = self._node
        return node.commit_index > node.matches.get(node.id, node.commit_index)

    def _successor(self) -> int | None:
        """The voter that has the most durable, of those that answer. None just after Raft began to
        count anew who answers: then the next tick asks again, for the one after a whole patience
        would meet Raft at the same point once more."""
        status = self._node.status()
        candidates = [
            (progress.match, member)
            for member, progress in status.progress.items()
            if member != status.id and progress.recent_active and not progress.is_learner
        ]
        return max(candidates)[1] if candidates else None

    def _hand_over(self, successor: int, seconds: float) -> None:
        told = fields(transferee_member_id=hex_id(successor), took=f"{seconds:.3f}s")
        log.warning("the disk is too slow to lead with, leadership transfer starts", extra=told)
        self._node.transfer_leader(successor)
