"""What is in a backup's directory, by its names.

Owns: the names, and what may go. Must never do: look into a file that its name or its facts tell
enough of, or count one that is not whole: those end in ``.part``.

    chain-0001-base-000000000000000001a3.snap    a whole image, as `snapshot save` makes it
    chain-0001-base-000000000000000001a3.json    its facts, written before it got its name
    chain-0001-log-000007-00000000000000000412.seg   segment 7, from revision 412 on
    lock                                         held by whoever writes

A chain is an unbroken run of revisions of one cluster. Another one begins when revisions were lost
to a compaction, or another cluster answers. Every base of a chain is a place to restore from.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from raftkv.errors import ConfigError
from raftkv.wal.disk import Disk, File

_BASE = re.compile(r"chain-(\d{4,})-base-(\d{20})\.snap")
_SEGMENT = re.compile(r"chain-(\d{4,})-log-(\d{6,})-(\d{20})\.seg")


@dataclass(frozen=True, slots=True)
class Facts:
    """Of a base. ``hash`` is HashKV's at its revision, ``compact_revision`` what it leaves out."""

    cluster_id: int
    time_ms: int
    revision: int
    keys: int
    hash: int
    compact_revision: int


@dataclass(frozen=True, slots=True)
class Base:
    chain: int
    revision: int
    path: str
    size: int
    facts: Facts


@dataclass(frozen=True, slots=True)
class Segment:
    chain: int
    number: int
    first_revision: int
    path: str
    size: int


@dataclass(frozen=True, slots=True)
class Chain:
    """Both in the order of their revisions."""

    number: int
    bases: Sequence[Base]
    segments: Sequence[Segment]

    def base_for(self, revision: int) -> Base | None:
        """The last one that is not after ``revision``."""
        return next((base for base in reversed(self.bases) if base.revision <= revision), None)

    def segments_after(self, revision: int) -> Sequence[Segment]:
        """Those that may hold what came after ``revision``."""
        starts = [segment.first_revision for segment in self.segments]
        before = sum(start <= revision + 1 for start in starts)
        return self.segments[max(before - 1, 0) :]


class BackupDirectory:
    def __init__(self, disk: Disk, path: str) -> None:
        self.disk = disk
        self.path = path

    def lock(self) -> File:
        """Make the directory if need be, and keep other writers out. Raises ConfigError."""
        self.disk.make_dir(self.path)
        try:
            return self.disk.lock(f"{self.path}/lock")
        except ConfigError:
            raise ConfigError(
                f"another `backup run` writes to {self.path}: stop it, or choose another --to"
            ) from None

    def chains(self) -> list[Chain]:
        """Oldest first. Raises ConfigError for a directory that holds no backup."""
        bases, segments = self._bases(), self._segments()
        numbers = sorted({base.chain for base in bases} | {each.chain for each in segments})
        return [
            Chain(
                number,
                [base for base in bases if base.chain == number],
                [each for each in segments if each.chain == number],
            )
            for number in numbers
        ]

    def chains_to_read(self) -> list[Chain]:
        """Raises ConfigError when there is none."""
        chains = self.chains()
        if not chains:
            raise ConfigError(
                f"{self.path} holds no backup: name the directory that "
                "`raftkv ctl backup run --to` wrote to"
            )
        return chains

    def remove_unfinished(self) -> list[str]:
        """What a writer left that died; the names."""
        names = [name for name in self.disk.list_dir(self.path) if name.endswith(".part")]
        for name in names:
            self.disk.remove(f"{self.path}/{name}")
        return names

    def incoming_path(self) -> str:
        """For a base whose revision is not known yet; ``.part`` is put behind it while it comes."""
        return f"{self.path}/incoming.part"

    def adopt_base(self, path: str, chain: int, facts: Facts) -> Base:
        """Give a whole and durable file its name."""
        stem = f"{self.path}/chain-{chain:04d}-base-{facts.revision:020d}"
        self._write(f"{stem}.json", json.dumps(asdict(facts)).encode() + b"\n")
        self.disk.rename(path, f"{stem}.snap")
        self.disk.sync_dir(self.path)
        size = self.disk.size(f"{stem}.snap")
        return Base(chain, facts.revision, f"{stem}.snap", size, facts)

    def segment_path(self, chain: int, number: int, first_revision: int) -> str:
        return f"{self.path}/chain-{chain:04d}-log-{number:06d}-{first_revision:020d}.seg"

    def prune(self, keep: int) -> list[str]:
        """Remove all but the last ``keep`` bases, and the segments that no kept one needs; the
        paths of what went."""
        assert keep > 0, f"{keep} bases to keep"
        bases = self._bases()
        doomed = bases[:-keep]
        gone = [path for base in doomed for path in (base.path, _facts_path(base.path))]
        if doomed:
            first = bases[-keep]
            for chain in self.chains():
                needed = chain.segments_after(first.revision) if chain.number == first.chain else ()
                if chain.number <= first.chain:
                    gone += [each.path for each in chain.segments if each not in needed]
        for path in gone:
            self.disk.remove(path)
        if gone:
            self.disk.sync_dir(self.path)
        return gone

    def without_facts(self) -> list[str]:
        """The paths of bases that nobody can place: no chain counts them, and nothing removes
        them. `snapshot restore` takes them."""
        known = {base.path for base in self._bases()}
        names = [name for name in self.disk.list_dir(self.path) if _BASE.fullmatch(name)]
        return [path for name in names if (path := f"{self.path}/{name}") not in known]

    def _bases(self) -> list[Base]:
        found: list[Base] = []
        for name in self.disk.list_dir(self.path):
            if match := _BASE.fullmatch(name):
                path = f"{self.path}/{name}"
                facts = self._facts(path)
                chain, revision = map(int, match.groups())
                if facts is not None and facts.revision == revision:
                    found.append(Base(chain, revision, path, self.disk.size(path), facts))
        return sorted(found, key=lambda base: (base.chain, base.revision))

    def _segments(self) -> list[Segment]:
        found: list[Segment] = []
        for name in self.disk.list_dir(self.path):
            if match := _SEGMENT.fullmatch(name):
                path = f"{self.path}/{name}"
                chain, number, first = map(int, match.groups())
                found.append(Segment(chain, number, first, path, self.disk.size(path)))
        return sorted(found, key=lambda each: (each.chain, each.number))

    def _facts(self, base_path: str) -> Facts | None:
        """None where they are gone or damaged."""
        path = _facts_path(base_path)
        if not self.disk.exists(path):
            return None
        try:
            return Facts(**json.loads(self.disk.read(path)))
        except (ValueError, TypeError):
            return None

    def _write(self, path: str, data: bytes) -> None:
        file = self.disk.create(f"{path}.part")
        file.write(data)
        file.sync()
        file.close()
        self.disk.rename(f"{path}.part", path)
        self.disk.sync_dir(self.path)


def _facts_path(base_path: str) -> str:
    return f"{base_path.removesuffix('.snap')}.json"
