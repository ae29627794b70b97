"""The directed links between members, and what is wrong with each now.

Owns: Links: troubles that overlap and end one by one. Must never do: touch a socket; a LinkProxy
asks its links before it passes bytes on. A link is open again when the last cut over it ended, and
as slow as the slowest trouble over it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import count, permutations

Pair = tuple[str, str]
"""Source and target: whose bytes, and to whom."""


class Link:
    """What the bytes of one direction meet."""

    def __init__(self) -> None:
        self.delay_s = 0.0
        self._open = asyncio.Event()
        self._open.set()

    @property
    def is_open(self) -> bool:
        return self._open.is_set()

    async def opened(self) -> None:
        await self._open.wait()

    def set(self, *, is_open: bool, delay_s: float) -> None:
        self.delay_s = delay_s
        if is_open:
            self._open.set()
        else:
            self._open.clear()


@dataclass(frozen=True, slots=True)
class Trouble:
    """``delay_s`` None is a cut."""

    pairs: frozenset[Pair]
    delay_s: float | None = None


class Links:
    """All links of a cluster. ``begin`` gives the number that ``end`` takes."""

    def __init__(self, names: Sequence[str]) -> None:
        self._links = {pair: Link() for pair in permutations(names, 2)}
        self._troubles: dict[int, Trouble] = {}
        self._numbers = count()

    def link(self, source: str, target: str) -> Link:
        return self._links[source, target]

    @property
    def cut_pairs(self) -> frozenset[Pair]:
        return frozenset(pair for pair, link in self._links.items() if not link.is_open)

    def cut(self, pairs: Iterable[Pair]) -> int:
        return self._begin(Trouble(frozenset(pairs)))

    def slow(self, pairs: Iterable[Pair], delay_s: float) -> int:
        return self._begin(Trouble(frozenset(pairs), delay_s))

    def end(self, number: int) -> None:
        del self._troubles[number]
        self._apply()

    def _begin(self, trouble: Trouble) -> int:
        unknown = trouble.pairs - self._links.keys()
        if unknown:
            raise ValueError(f"no such links: {sorted(unknown)}")
        number = next(self._numbers)
        self._troubles[number] = trouble
        self._apply()
        return number

    def _apply(self) -> None:
        for pair, link in self._links.items():
            over = [trouble for trouble in self._troubles.values() if pair in trouble.pairs]
            link.set(
                is_open=all(trouble.delay_s is not None for trouble in over),
                delay_s=max((trouble.delay_s or 0.0 for trouble in over), default=0.0),
            )
