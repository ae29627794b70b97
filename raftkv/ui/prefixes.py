"""The prefixes that most keys have, and that are written most: while somebody looks.

Owns: a walk through the keys, a bounded piece a step, and a look at the newest revisions. Must
never do: take long at once, or look at a value: a row's length is enough.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass

from raftkv.errors import Compacted, RaftKVError
from raftkv.mvcc.row_heads import key_of_head, row_heads
from raftkv.mvcc.store import Store
from raftkv.rpc.member import Proceed
from raftkv.ui.text import readable
from raftkv.ui.windows import Rates

KEYS_PER_STEP = 500
KEYS_PER_WALK = 50_000
"""A walk that reaches this is a sample; the next goes on behind it."""
STEPS_BETWEEN_WALKS = 50
REVISIONS_PER_STEP = 100
EVENTS_BYTES_PER_STEP = 256 << 10
PREFIXES_MAX = 2_000
TOP_MAX = 12
PREFIX_BYTES_MAX = 120
OTHERS = b""
"""What stands for all further prefixes, and for keys that have none."""


@dataclass(slots=True)
class _Sum:
    keys: int = 0
    bytes: int = 0


class Prefixes:
    """``when_open`` calls back once the database may be read: at once, nearly always."""

    def __init__(
        self,
        store: Callable[[], Store],
        now: Callable[[], float],
        when_open: Callable[[Proceed], None],
    ) -> None:
        self._store = store
        self._now = now
        self._when_open = when_open
        self._waiting = False
        self.is_sampled = False
        self.forget()

    def forget(self) -> None:
        """Nobody looks any more."""
        self._walk: dict[bytes, _Sum] = {}
        self._sums: dict[bytes, _Sum] = {}
        self._next_key = b"\0"
        self._walked = 0
        self._rest = 0
        self._revision = 0
        self._writes: dict[bytes, float] = {}
        self._from_start = True
        self._rates: dict[bytes, Rates] = {}

    def step(self) -> None:
        if not self._waiting:
            self._waiting = True
            self._when_open(self._step)

    def _step(self, error: RaftKVError | None) -> None:
        self._waiting = False
        if error is None:
            self._count_writes(self._store())
            self._go_on(self._store())

    def top(self) -> list[dict[str, object]]:
        """Those with most keys, by the last walk, and those with most writes."""
        sums = self._sums or self._walk
        rates = {prefix: self._rate(prefix) for prefix in list(self._writes)}
        written = sorted(rates, key=lambda prefix: -rates[prefix])[: TOP_MAX // 2]
        held = sorted(sums, key=lambda prefix: -sums[prefix].keys)[:TOP_MAX]
        shown = list(dict.fromkeys([*held[: TOP_MAX // 2], *written, *held]))[:TOP_MAX]
        return [
            {
                "prefix": readable(prefix[:PREFIX_BYTES_MAX]),
                "keys": sums[prefix].keys if prefix in sums else 0,
                "bytes": sums[prefix].bytes if prefix in sums else 0,
                "writes_per_s": rates.get(prefix, 0.0),
            }
            for prefix in shown
        ]

    # --- keys -----------------------------------------------------------------------------------

    def _go_on(self, store: Store) -> None:
        if self._rest:
            self._rest -= 1
            return
        views = next(store.latest.views(self._next_key, None, KEYS_PER_STEP), [])
        for head in row_heads(views):
            key = key_of_head(head)
            at = _place(self._walk, prefix_of(key))
            one = self._walk.setdefault(at, _Sum())
            one.keys += 1
            one.bytes += len(head[0])
            self._next_key = key + b"\0"
        self._walked += len(views)
        at_end = len(views) < KEYS_PER_STEP
        if at_end or self._walked >= KEYS_PER_WALK:
            self.is_sampled = not (at_end and self._from_start)
            self._sums, self._walk = self._walk, {}
            self._walked, self._rest, self._from_start = 0, STEPS_BETWEEN_WALKS, at_end
            if at_end:
                self._next_key = b"\0"

    # --- writes ---------------------------------------------------------------------------------

    def _count_writes(self, store: Store) -> None:
        current = store.current_revision
        if not self._revision or current < self._revision:
            self._revision = current
            return
        behind = current - self._revision
        if not behind:
            return
        first = max(self._revision + 1, current - REVISIONS_PER_STEP + 1)
        try:
            happened = store.events_since(
                first, REVISIONS_PER_STEP, bytes_max=EVENTS_BYTES_PER_STEP, with_prev=False
            )
        except Compacted:
            happened = []
        share = behind / len(happened) if happened else 0.0
        for revision in happened:
            for each in revision.events:
                at = _place(self._writes, prefix_of(each.key))
                self._writes[at] = self._writes.get(at, 0.0) + share
        self._revision = current

    def _rate(self, prefix: bytes) -> float:
        if prefix not in self._rates:
            self._rates[prefix] = Rates()
        (rate,) = self._rates[prefix].add(self._now(), (self._writes[prefix],))
        return rate


def prefix_of(key: bytes) -> bytes:
    """Up to the first slash, or the second of a key that begins with one; OTHERS without."""
    at = key.find(b"/")
    if at == 0:
        at = key.find(b"/", 1)
        second = key.find(b"/", at + 1) if at > 0 else -1
        at = second if second > 0 else at
    return key[: at + 1] if at > 0 else OTHERS


def _place(known: Collection[bytes], prefix: bytes) -> bytes:
    return prefix if prefix in known or len(known) < PREFIXES_MAX else OTHERS
