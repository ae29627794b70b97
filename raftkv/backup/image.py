"""What is in a saved snapshot: its revision, its keys, its hash.

Owns: looking, without a copy of the file and without a write to it. Must never do: trust a file:
its checksum is that of its bytes on disk, read again.
"""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass

from raftkv.backend.image import LmdbImage
from raftkv.backend.schema import Meta, Table
from raftkv.errors import Corrupt
from raftkv.mvcc.hash import HashResult
from raftkv.mvcc.store import HASH_RECORDS_PER_STEP, Store
from raftkv.server.restore import DIGEST_BYTES
from raftkv.wal.disk import CHUNK_BYTES


@dataclass(frozen=True, slots=True)
class ImageStatus:
    """``hash`` is HashKV's at ``revision``, with what ``compact_revision`` leaves out."""

    hash: int
    revision: int
    total_keys: int
    total_size: int
    compact_revision: int


def check_digest(path: str) -> None:
    """Raises Corrupt unless the file ends with the SHA-256 of what is before it. The page cache is
    asked to forget the file first: what is read is what the disk has."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        left = os.fstat(file.fileno()).st_size - DIGEST_BYTES
        while left > 0 and (chunk := file.read(min(CHUNK_BYTES, left))):
            digest.update(chunk)
            left -= len(chunk)
        if left or file.read() != digest.digest():
            raise Corrupt(
                f"{path} fails its checksum: it is damaged, or not whole; save it again, "
                "or take an earlier one"
            )


def look_into(path: str, *, compacted: int = -1) -> ImageStatus:
    """Reads every row of the history; the hash leaves out what a compaction at ``compacted`` does,
    to compare with a member that had one since. Raises Corrupt."""
    image = LmdbImage(path)
    try:
        if image.get(Table.META, Meta.APPLIED) is None:
            raise Corrupt(f"{path} holds no applied index: it is not a raftkv database")
        store = Store(image)
        result = hash_of(store, compacted)
        keys, _ = store.latest.count(b"", None)
    finally:
        image.close()
    return ImageStatus(
        result.hash, result.hash_revision, keys, os.stat(path).st_size, result.compact_revision
    )


def hash_of(store: Store, compacted: int = -1) -> HashResult:
    """HashKV's at the current revision."""
    running = store.begin_hash(store.current_revision, compacted)
    while not running.step(HASH_RECORDS_PER_STEP):
        pass
    return running.result
