"""Who asks most: the heaviest clients, users, prefixes and methods, in bounded memory.

Owns: SpaceSaving (Metwally, Agrawal and El Abbadi, "Efficient computation of frequent and top-k
elements in data streams", 2005) and Talkers, which feeds one per dimension. Must never do: keep
more than ENTRIES_MAX names of a dimension, or cost a call more than one look into a dict: calls
that are alike are added up first, and reach the sketches every FOLD_S seconds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from raftkv.access.keys import KeyForm, prefix_of

ENTRIES_MAX = 256
"""Names of one dimension. What is more than 1/ENTRIES_MAX of all calls is never missed."""
FOLD_S = 1.0
ALIKE_MAX = 4_096
"""Different (client, user, prefix, method) that are added up before they are folded in."""
SHOWN = 10
SHOWN_MAX = ENTRIES_MAX
DIMENSIONS = ("clients", "users", "prefixes", "methods")

Names = tuple[str, str, bytes, str]


@dataclass(slots=True)
class Weight:
    """What was seen of a name since it came into the sketch. ``calls`` may be too many by
    ``error`` at most, those of the name that it replaced; the others are never too many."""

    calls: int = 0
    error: int = 0
    errors: int = 0
    bytes_in: int = 0
    bytes_out: int = 0
    seconds: float = 0.0

    def add(self, other: Weight) -> None:
        self.calls += other.calls
        self.errors += other.errors
        self.bytes_in += other.bytes_in
        self.bytes_out += other.bytes_out
        self.seconds += other.seconds


class SpaceSaving:
    """The heaviest names by ``calls``: a new one takes place and count of the lightest."""

    def __init__(self, entries_max: int = ENTRIES_MAX) -> None:
        assert entries_max > 0, f"a sketch of {entries_max} names"
        self._entries_max = entries_max
        self._entries: dict[str, Weight] = {}

    def add(self, name: str, weight: Weight) -> None:
        entry = self._entries.get(name)
        if entry is None:
            entry = self._entries[name] = self._place()
        entry.add(weight)

    def _place(self) -> Weight:
        if len(self._entries) < self._entries_max:
            return Weight()
        lightest = min(self._entries, key=lambda name: self._entries[name].calls)
        calls = self._entries.pop(lightest).calls
        return Weight(calls=calls, error=calls)

    def __len__(self) -> int:
        return len(self._entries)

    def top(self, number: int) -> list[tuple[str, Weight]]:
        """Heaviest first."""
        heavy = sorted(self._entries.items(), key=lambda item: (-item[1].calls, item[0]))
        return heavy[:number]


class Talkers:
    """``form`` shows a prefix, as it shows keys."""

    def __init__(self, clock: Callable[[], float], form: KeyForm) -> None:
        self._clock = clock
        self._form = form
        self._alike: dict[Names, Weight] = {}
        self._fold_at = 0.0
        self.since = clock()
        self.calls = 0
        self._sketches = {dimension: SpaceSaving() for dimension in DIMENSIONS}

    def note(
        self,
        client: str,
        user: str,
        key: bytes,
        method: str,
        *,
        seconds: float,
        bytes_in: int,
        bytes_out: int,
        failed: bool,
        now: float,
    ) -> None:
        """``key`` may be empty: the call is of no prefix then. So may be ``user``."""
        names = (client, user, prefix_of(key), method)
        weight = self._alike.get(names)
        if weight is None:
            if len(self._alike) >= ALIKE_MAX or now >= self._fold_at:
                self.fold()
                self._fold_at = now + FOLD_S
            weight = self._alike[names] = Weight()
        weight.calls += 1
        weight.bytes_in += bytes_in
        weight.bytes_out += bytes_out
        weight.seconds += seconds
        if failed:
            weight.errors += 1

    def fold(self) -> None:
        """Bring what was added up into the sketches."""
        alike, self._alike = self._alike, {}
        for (client, user, prefix, method), weight in alike.items():
            self.calls += weight.calls
            names = (client, user, self._form(prefix), method)
            for sketch, name in zip(self._sketches.values(), names, strict=True):
                if name:
                    sketch.add(name, weight)

    def report(self, number: int = SHOWN) -> Mapping[str, object]:
        """As JSON shows it."""
        self.fold()
        return {
            "seconds": round(self._clock() - self.since, 3),
            "calls": self.calls,
            **{
                dimension: list(_rows(sketch.top(number)))
                for dimension, sketch in self._sketches.items()
            },
        }


def _rows(entries: Sequence[tuple[str, Weight]]) -> Iterator[Mapping[str, object]]:
    for name, weight in entries:
        yield {
            "name": name,
            "calls": weight.calls,
            "error": weight.error,
            "failed": weight.errors,
            "bytes_in": weight.bytes_in,
            "bytes_out": weight.bytes_out,
            "seconds": round(weight.seconds, 6),
        }
