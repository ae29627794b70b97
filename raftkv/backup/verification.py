"""Whether a backup could be restored, without restoring it where it counts.

Owns: the table of what there is, and the reading of all of it. Must never do: stop at the first
damage: what is still good has to be known.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace

from raftkv.backup.directory import BackupDirectory, Base, Chain
from raftkv.backup.image import check_digest, hash_of, look_into
from raftkv.backup.record import Kind
from raftkv.backup.replay import replay
from raftkv.backup.segment import SegmentReader
from raftkv.errors import RaftKVError
from raftkv.mvcc.store import Store
from raftkv.server.foundation import OpenBackend
from raftkv.server.restore import unpack


@dataclass(frozen=True, slots=True)
class Row:
    """One file. ``problem`` is "" where there is none, ``note`` what is worth knowing."""

    chain: int
    what: str
    first_revision: int
    last_revision: int
    time_ms: int
    size: int
    path: str
    note: str = ""
    problem: str = ""


def rows_of(directory: BackupDirectory) -> list[Row]:
    """By names and heads; only a chain's last segment is read."""
    rows = [row for chain in directory.chains_to_read() for row in _rows(directory, chain)]
    return rows + _lost(directory)


def verify(directory: BackupDirectory, open_backend: OpenBackend) -> list[Row]:
    """Reads everything, and makes a copy of the database in the directory on the way. Raises
    ConfigError where there is nothing to verify."""
    rows: list[Row] = []
    for chain in directory.chains_to_read():
        bases = [_checked_base(row) for row in _base_rows(chain)]
        segments = _checked_segments(directory, chain)
        if not any(row.problem for row in (*bases, *segments)):
            bases = _replayed(directory, chain, bases, open_backend)
        rows += (*bases, *segments)
    return rows + _lost(directory)


def _lost(directory: BackupDirectory) -> list[Row]:
    return [
        Row(
            0, "base", 0, 0, 0, directory.disk.size(path), path,
            problem=f"{path} has no facts beside it: `raftkv ctl snapshot restore` takes it",
        )
        for path in directory.without_facts()
    ]  # fmt: skip


def _rows(directory: BackupDirectory, chain: Chain) -> Iterator[Row]:
    yield from _base_rows(chain)
    for at, segment in enumerate(chain.segments):
        is_last = at + 1 == len(chain.segments)
        if is_last:
            yield _read_segment(directory, chain, at, "")[0]
            continue
        last = chain.segments[at + 1].first_revision - 1
        time_ms = SegmentReader(directory.disk, segment.path).time_ms
        yield Row(
            chain.number, "log", segment.first_revision, last, time_ms, segment.size, segment.path
        )


def _base_rows(chain: Chain) -> list[Row]:
    return [
        Row(
            chain.number,
            "base",
            base.revision,
            base.revision,
            base.facts.time_ms,
            base.size,
            base.path,
            note=f"{base.facts.keys} keys",
        )
        for base in chain.bases
    ]


def _checked_base(row: Row) -> Row:
    try:
        check_digest(row.path)
        found = look_into(row.path).revision
    except (RaftKVError, OSError) as e:
        return replace(row, problem=str(e))
    if found != row.first_revision:
        return replace(row, problem=f"{row.path} ends at revision {found}: its name was changed")
    return row


def _checked_segments(directory: BackupDirectory, chain: Chain) -> list[Row]:
    rows: list[Row] = []
    digest = ""
    for at in range(len(chain.segments)):
        row, digest = _read_segment(directory, chain, at, digest)
        rows.append(row)
    return rows


def _read_segment(
    directory: BackupDirectory, chain: Chain, at: int, previous: str
) -> tuple[Row, str]:
    """``previous`` is the digest of the segment before, "" if nobody read it."""
    segment = chain.segments[at]
    is_last = at + 1 == len(chain.segments)
    last, time_ms = segment.first_revision - 1, 0
    row = Row(chain.number, "log", segment.first_revision, last, 0, segment.size, segment.path)
    try:
        reader = SegmentReader(directory.disk, segment.path)
        last, time_ms = reader.head.first_revision - 1, reader.time_ms
        problem = _link_problem(chain, at, reader, previous)
        for record in reader:
            if record.kind is Kind.REVISION:
                if record.revision != last + 1:
                    problem = problem or f"{segment.path} lacks revision {last + 1}"
                last = record.revision
                time_ms = record.time_ms
    except (RaftKVError, OSError) as e:
        return replace(row, problem=str(e)), ""
    note = ""
    if reader.torn_bytes and is_last and not reader.is_damaged:
        note = f"{reader.torn_bytes} bytes at the end are being written, or torn"
    elif reader.torn_bytes:
        problem = problem or (
            f"{segment.path} is damaged at byte {reader.size}: revisions after {last} are lost"
        )
    row = replace(row, last_revision=last, time_ms=time_ms, note=note, problem=problem)
    return row, reader.digest


def _link_problem(chain: Chain, at: int, reader: SegmentReader, previous: str) -> str:
    if at and chain.segments[at - 1].number + 1 != chain.segments[at].number:
        return f"a segment is missing before {reader.path}"
    if at and previous and reader.head.previous != previous:
        return f"{reader.path} does not follow the file before it: one of them was changed"
    return ""


def _replayed(
    directory: BackupDirectory, chain: Chain, rows: list[Row], open_backend: OpenBackend
) -> list[Row]:
    """The log from each base on must lead to what the next one is."""
    found = list(rows)
    for at in range(len(chain.bases) - 1):
        problem = _difference(directory, chain, chain.bases[at], chain.bases[at + 1], open_backend)
        if problem:
            found[at] = replace(found[at], problem=problem)
    return found


def _difference(
    directory: BackupDirectory, chain: Chain, first: Base, second: Base, open_backend: OpenBackend
) -> str:
    with tempfile.TemporaryDirectory(dir=directory.path, suffix=".part") as place:
        image = os.path.join(place, "db")
        unpack(first.path, image, directory.disk)
        backend = open_backend(image)
        try:
            end = replay(backend, directory.disk, chain, second.revision)
            made = hash_of(Store(backend), second.facts.compact_revision)
        except RaftKVError as e:
            return str(e)
        finally:
            backend.close()
    if end.revision != second.revision:
        return f"the log ends at revision {end.revision}, before the base at {second.revision}"
    theirs = look_into(second.path, compacted=made.compact_revision)
    if made.hash != theirs.hash:
        return (
            f"from the base at revision {first.revision} the log leads to hash {made.hash:x} at "
            f"{second.revision}, and the base there has {theirs.hash:x}"
        )
    return ""
