"""How an image is composed: the moment of the power cut, and what survives it.

Owns: the kinds of images and their drawing from a seed. Must never do: depend on anything but its
arguments: the same recipe gives the same bytes, on any machine.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum
from random import Random

from jepsen_like.images.filesystem import Choice, DataChange, FileSystem, Node, write
from jepsen_like.images.stream import Kind, Stream

SECTOR = 512
PAGE = 4096


class Cut(Enum):
    """What a power cut leaves of what no sync covers."""

    NOTHING = "nothing"
    ALL = "all"  # also what kill -9 leaves
    NAMES = "names"  # without the data
    DATA = "data"  # without the names
    PREFIXES = "prefixes"  # of each file what was written first, of the names too
    PAGES = "pages"  # and names, by chance
    SECTORS = "sectors"  # and names, by chance
    TORN = "torn"  # all, but the last write ends within


PLAIN = (Cut.NOTHING, Cut.ALL, Cut.NAMES, Cut.DATA)
CHANCE = (Cut.PREFIXES, Cut.PAGES, Cut.SECTORS)


@dataclass(frozen=True, slots=True)
class Recipe:
    """A power cut at point ``point`` of the stream. ``number`` is what chance is drawn from; of a
    torn write, how many sectors are there."""

    point: int
    cut: Cut
    number: int = 0

    def __str__(self) -> str:
        return f"{self.point}-{self.cut.value}-{self.number}"

    @staticmethod
    def parse(text: str) -> Recipe:
        """ValueError for what ``str`` does not write."""
        point, cut, number = text.split("-")
        return Recipe(int(point), Cut(cut), int(number))


def torn_writes(stream: Stream) -> list[Recipe]:
    """Each write of the stream, torn at each sector boundary within it."""
    recipes: list[Recipe] = []
    for number, change in enumerate(stream.changes):
        if change.kind is Kind.WRITE:
            first = change.offset // SECTOR
            last = (change.offset + len(change.data) - 1) // SECTOR
            recipes += [Recipe(number + 1, Cut.TORN, n) for n in range(last - first + 1)]
    return recipes


def plain_cuts(points: Sequence[int]) -> list[Recipe]:
    """What needs no chance, at each of ``points``."""
    return [Recipe(point, cut) for point in points for cut in PLAIN]


def drawn(points: Sequence[int], seed: int, count: int) -> list[Recipe]:
    """``count`` recipes by chance; the first n are the same for every count from n on."""
    random = Random(f"images {seed}")
    return [
        Recipe(random.choice(points), CHANCE[number % len(CHANCE)], number)
        for number in range(count)
    ]


def doubtful_points(stream: Stream) -> list[int]:
    """The moments at which a power cut leaves a choice."""
    filesystem = FileSystem()
    points: list[int] = []
    for number, change in enumerate(stream.changes):
        filesystem.apply(change)
        if not filesystem.is_clean:
            points.append(number + 1)
    return points


def choice_of(recipe: Recipe, filesystem: FileSystem) -> Choice:
    """What ``recipe`` says of a file system that has come to its point."""
    random = Random(str(recipe))
    rate = random.choice((0.1, 0.5, 0.9))
    match recipe.cut:
        case Cut.NOTHING:
            return Choice(_none, _forced)
        case Cut.ALL:
            return Choice(_every, _cached)
        case Cut.NAMES:
            return Choice(_every, _forced)
        case Cut.DATA:
            return Choice(_none, _cached)
        case Cut.TORN:
            return Choice(_every, _torn(recipe, filesystem))
        case Cut.PREFIXES:
            return Choice(_prefix(random), lambda node: _wild(node, random, _first(node, random)))
        case Cut.PAGES:
            return Choice(
                _some(random, rate),
                lambda node: _wild(node, random, _units(node, random, PAGE, rate)),
            )
        case Cut.SECTORS:
            return Choice(
                _some(random, rate),
                lambda node: _wild(node, random, _units(node, random, SECTOR, rate)),
            )


# --- names --------------------------------------------------------------------------------------


def _none(count: int) -> list[bool]:
    return [False] * count


def _every(count: int) -> list[bool]:
    return [True] * count


def _prefix(random: Random) -> Callable[[int], list[bool]]:
    def names(count: int) -> list[bool]:
        kept = random.randint(0, count)
        return [i < kept for i in range(count)]

    return names


def _some(random: Random, rate: float) -> Callable[[int], list[bool]]:
    return lambda count: [random.random() < rate for _ in range(count)]


# --- data ---------------------------------------------------------------------------------------


def _cached(node: Node) -> bytes:
    return bytes(node.cached())


def _forced(node: Node) -> bytes:
    """Only what is durable."""
    content = bytearray(node.durable)
    for change in node.pending:
        if change.is_durable:
            change.apply(content)
    return bytes(content)


def _first(node: Node, random: Random) -> bytes:
    """What was written first, in the order of writing, up to a moment of this file's own."""
    kept = random.randint(0, len(node.pending))
    content = bytearray(node.durable)
    for number, change in enumerate(node.pending):
        if number < kept or change.is_durable:
            change.apply(content)
    return bytes(content)


def _units(node: Node, random: Random, unit: int, rate: float) -> bytes:
    """Each unit of each change by chance; the size may have come without the data."""
    content = bytearray(node.durable)
    for change in node.pending:
        if change.is_durable:
            change.apply(content)
        elif change.data is None:
            if random.random() < rate:
                change.apply(content)
        else:
            _write_units(content, change.offset, change.data, unit, lambda: random.random() < rate)
    size = len(node.cached())
    if len(content) < size and random.random() < 0.5:
        content.extend(bytes(size - len(content)))
    return bytes(content)


def _torn(recipe: Recipe, filesystem: FileSystem) -> Callable[[Node], bytes]:
    """The cut comes within the write: even one that would be durable at its return is torn."""
    assert filesystem.last_write is not None, recipe
    torn_node, last = filesystem.last_write

    def content(node: Node) -> bytes:
        if node is not torn_node or last.data is None:
            return _cached(node)
        made = bytearray(node.durable)
        for change in node.pending:
            if change is last:
                _write_first_sectors(made, change, last.data, recipe.number)
            else:
                change.apply(made)
        return bytes(made)

    return content


def _write_first_sectors(content: bytearray, change: DataChange, data: bytes, count: int) -> None:
    left = iter(range(count))
    _write_units(content, change.offset, data, SECTOR, lambda: next(left, None) is not None)


def _write_units(
    content: bytearray, offset: int, data: bytes, unit: int, is_there: Callable[[], bool]
) -> None:
    at = 0
    while at < len(data):
        size = min(unit - (offset + at) % unit, len(data) - at)
        if is_there():
            write(content, offset + at, data[at : at + size])
        at += size


def _wild(node: Node, random: Random, content: bytes) -> bytes:
    """A mapped file's stores are in no log: half of the time it holds just anything."""
    return random.randbytes(len(content)) if node.is_mapped and random.random() < 0.5 else content
