"""How far the key space has come in the log, stored in the same transaction as the keys.

Owns: AppliedState and its bytes. Must never do: be written in another transaction than the data
it speaks of: etcd 3.5 once did, and diverged (etcd issue 13766).
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field

from raftkv.errors import Corrupt
from raftkv.raft.message import ConfState, SnapshotMeta


@dataclass(frozen=True, slots=True)
class AppliedState:
    """``sequences`` holds, per origin, the newest batch applied: older ones are duplicates."""

    index: int
    term: int
    conf_state: ConfState
    sequences: dict[int, int] = field(default_factory=dict)

    @property
    def meta(self) -> SnapshotMeta:
        return SnapshotMeta(self.index, self.term, self.conf_state)

    def encode(self) -> bytes:
        return json.dumps(
            {
                "index": self.index,
                "term": self.term,
                "conf_state": asdict(self.conf_state),
                "sequences": {f"{origin:x}": last for origin, last in self.sequences.items()},
            },
            sort_keys=True,
        ).encode()

    @staticmethod
    def decode(data: bytes) -> AppliedState:
        """Raises Corrupt when ``data`` is not what ``encode`` made."""
        try:
            record = json.loads(data)
            conf = record["conf_state"]
            return AppliedState(
                record["index"],
                record["term"],
                ConfState(
                    voters=tuple(conf["voters"]),
                    learners=tuple(conf["learners"]),
                    voters_outgoing=tuple(conf["voters_outgoing"]),
                    learners_next=tuple(conf["learners_next"]),
                    auto_leave=conf["auto_leave"],
                ),
                {int(origin, 16): last for origin, last in record["sequences"].items()},
            )
        except (ValueError, KeyError, TypeError) as e:
            raise Corrupt(f"the applied state in the database is unreadable: {e!r}") from e
