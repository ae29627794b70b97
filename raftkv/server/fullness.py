"""How near the cluster is to its quota, and whose keys they are: told before anything is refused.

Owns: the soft level, the log lines at its crossings, and the estimate of the largest prefixes. Must
never do: refuse anything, or walk the key space: a bounded number of records is looked at.
"""

from __future__ import annotations

import logging
from collections import Counter
from itertools import islice

from raftkv.log_fields import fields
from raftkv.mvcc.codec import key_of
from raftkv.mvcc.ledger import charge
from raftkv.mvcc.store import Store

log = logging.getLogger("raftkv.server")

SOFT_PERCENT = 80
SOFT_LEFT_PERCENT = 75
"""Below it the warning is over: it is not told again and again at the edge."""
SAMPLES = 256
"""Records that an estimate looks at: about 2 ms."""
PREFIXES_TOLD = 5
SEGMENTS = 2
PLAIN_BYTES = 8
SAMPLE_INTERVAL_S = 60.0

PrefixBytes = tuple[bytes, int]


class Fullness:
    """``top`` are the largest prefixes and their estimated bytes, beyond the soft level."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._sampled_at = float("-inf")
        self._was_full = False
        self.top: list[PrefixBytes] = []

    @property
    def is_soft(self) -> bool:
        return bool(self.top)

    def look(self, now: float, *, is_full: bool) -> None:
        """Called a few times a second, while nothing is being committed. ``is_full``: the
        cluster's alarm is raised."""
        ledger = self._store.ledger
        if is_full != self._was_full:
            self._was_full = is_full
            told = fields(live_bytes=ledger.live, quota_bytes=ledger.quota)
            if is_full:
                log.warning("the cluster is full: puts are refused until there is room", extra=told)
            else:
                log.info("the cluster has room again", extra=told)
        if not ledger.is_complete or not ledger.quota:
            self.top = []
        elif ledger.live * 100 >= ledger.quota * (SOFT_LEFT_PERCENT if self.top else SOFT_PERCENT):
            if now - self._sampled_at >= SAMPLE_INTERVAL_S:
                self._sampled_at = now
                self._tell()
        elif self.top:
            self.top = []
            told = fields(live_bytes=ledger.live, quota_bytes=ledger.quota)
            log.info("the database is below its soft level again", extra=told)

    def _tell(self) -> None:
        ledger, is_new = self._store.ledger, not self.top
        self.top = top_prefixes(self._store)
        if is_new:
            names = [f"{name.decode(errors='replace')} {size}" for name, size in self.top]
            told = fields(live_bytes=ledger.live, quota_bytes=ledger.quota, top_prefixes=names)
            log.warning("the database is filling up", extra=told)


def top_prefixes(store: Store) -> list[PrefixBytes]:
    """The prefixes with the most bytes and how many, estimated by the records next to SAMPLES
    revisions at equal distances: what was written often counts as often."""
    first = max(store.compact_revision, 1)
    count = min(SAMPLES, store.current_revision - first + 1)
    seen: Counter[bytes] = Counter()
    for number in range(count):
        start = first + number * (store.current_revision - first + 1) // count
        for _, record in islice(store.history.scan(start, store.current_revision + 1), 1):
            seen[prefix_of(key_of(record.key_value))] += charge(len(record.key_value))
    total = sum(seen.values())
    return [
        (name, size * store.ledger.live // total) for name, size in seen.most_common(PREFIXES_TOLD)
    ]


def prefix_of(key: bytes) -> bytes:
    """Its first two segments; of a key without any, the first bytes."""
    end = 1 if key.startswith(b"/") else 0
    for _ in range(SEGMENTS):
        at = key.find(b"/", end)
        if at < 0:
            break
        end = at + 1
    return key[:end] if end > 1 else key[:PLAIN_BYTES]
