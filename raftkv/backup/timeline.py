"""Which base and which revision a point in time is.

Owns: the choice, and what is said when there is none. Must never do: take a neighbour silently.
Times are those of the clock of whoever wrote the backup, when an event came.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from raftkv.backup.directory import BackupDirectory, Base, Chain
from raftkv.backup.record import Kind
from raftkv.backup.replay import LogReader
from raftkv.errors import ConfigError


@dataclass(frozen=True, slots=True)
class Extent:
    """Up to where a chain goes."""

    last_revision: int
    last_ms: int
    torn_bytes: int


@dataclass(frozen=True, slots=True)
class Point:
    """A base and the revision to go on to. ``is_after_end``: the time asked for is later than
    anything in the chain."""

    chain: Chain
    base: Base
    revision: int
    is_after_end: bool = False


def extent_of(directory: BackupDirectory, chain: Chain) -> Extent:
    """Reads the last segment."""
    last, last_ms = 0, 0
    for base in chain.bases:
        last, last_ms = max(last, base.revision), max(last_ms, base.facts.time_ms)
    log = LogReader(directory.disk, chain.segments[-2:])
    for record in log:
        if record.kind is Kind.REVISION:
            last, last_ms = max(last, record.revision), max(last_ms, record.time_ms)
    return Extent(last, last_ms, log.torn_bytes)


def point_at_end(directory: BackupDirectory) -> Point:
    """The last revision of the newest chain that can be restored."""
    chains = directory.chains_to_read()
    for chain in reversed(chains):
        if chain.bases:
            return _point(directory, chain, extent_of(directory, chain).last_revision)
    raise _not_restorable(directory, chains, "anything")


def point_at_revision(directory: BackupDirectory, revision: int) -> Point:
    """Raises ConfigError, with what there is."""
    chains = directory.chains_to_read()
    for chain in reversed(chains):
        if chain.base_for(revision) and revision <= extent_of(directory, chain).last_revision:
            return _point(directory, chain, revision)
    raise _not_restorable(directory, chains, f"revision {revision}")


def point_at_time(directory: BackupDirectory, time_ms: int) -> Point:
    """Raises ConfigError, with what there is."""
    chains = directory.chains_to_read()
    for chain in reversed(chains):
        found, extent = _revision_at(directory, chain, time_ms), extent_of(directory, chain)
        if found and chain.base_for(found):
            point = _point(directory, chain, found)
            return Point(chain, point.base, found, is_after_end=time_ms > extent.last_ms)
        if found:
            break  # an earlier chain would be an earlier state than the one asked for
    raise _not_restorable(directory, chains, f"what there was at {time_text(time_ms)}")


def _revision_at(directory: BackupDirectory, chain: Chain, time_ms: int) -> int:
    """The last revision that had come by then; 0 for a time before the chain."""
    found = 0
    for base in chain.bases:
        if base.facts.time_ms <= time_ms:
            found = base.revision
    for record in LogReader(directory.disk, chain.segments):
        if record.kind is Kind.REVISION:
            if record.time_ms > time_ms:
                break
            found = max(found, record.revision)
    return found


def _point(directory: BackupDirectory, chain: Chain, revision: int) -> Point:
    base = chain.base_for(revision)
    assert base is not None, f"chain {chain.number} has no base before revision {revision}"
    return Point(chain, base, revision)


def _not_restorable(directory: BackupDirectory, chains: Sequence[Chain], what: str) -> ConfigError:
    parts = [
        f"revisions {chain.bases[0].revision} to {extent.last_revision} ("
        f"{time_text(chain.bases[0].facts.time_ms)} to {time_text(extent.last_ms)})"
        for chain in chains
        if chain.bases
        for extent in [extent_of(directory, chain)]
    ]
    there_is = " and ".join(parts) or "no base yet: let `backup run` make one"
    return ConfigError(f"{directory.path} cannot give {what} back; it has {there_is}")


def time_text(time_ms: int) -> str:
    """With all that ``--to-time`` takes."""
    moment = datetime.fromtimestamp(time_ms / 1000, UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
