"""A snapshot file of etcd's: what is in which bucket.

Owns: the names of etcd's buckets and the layout of their keys (etcd 3.0 to 3.7: server/storage/
schema, mvcc/revision). Must never do: know raftkv's tables. `etcdctl snapshot save` puts a SHA-256
behind the database; a copy of a member's own file, member/snap/db, has none.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from raftkv.errors import Corrupt
from raftkv.migration.bolt import BoltFile

DIGEST_BYTES = 32
UNIT_BYTES = 512
_CHUNK_BYTES = 1 << 20
_REVISION = struct.Struct(">QcQ")
_TOMBSTONE = b"t"
_LEASE_FIELDS = {0x08: "id", 0x10: "ttl_s", 0x18: "remaining_s"}


@dataclass(frozen=True, slots=True)
class EtcdRecord:
    """What happened to one key at revision ``main``; ``key_value`` is mvccpb's."""

    main: int
    sub: int
    is_tombstone: bool
    key_value: bytes


@dataclass(frozen=True, slots=True)
class EtcdLease:
    id: int
    ttl_s: int
    remaining_s: int


class EtcdSnapshot:
    """A context manager. Raises Corrupt and OSError."""

    def __init__(self, path: str | Path, *, check_hash: bool = True) -> None:
        self._path = str(path)
        if check_hash:
            check_digest(self._path)
        self._file = BoltFile(path)

    def __enter__(self) -> EtcdSnapshot:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._file.__exit__(kind, error, traceback)

    def records(self) -> Iterator[EtcdRecord]:
        """In the order of revisions."""
        last = (0, -1)
        for key, value in self._file.items(b"key"):
            mark = key[_REVISION.size :]
            if len(key) < _REVISION.size or mark not in (b"", _TOMBSTONE):
                raise Corrupt(f"{self._path}: {key.hex()} is no revision of etcd's")
            main, line, sub = _REVISION.unpack_from(key)
            if line != b"_" or (main, sub) <= last or main >> 63 or sub >> 32:
                raise Corrupt(f"{self._path}: revision {main}/{sub} comes after {last}")
            last = (main, sub)
            yield EtcdRecord(main, sub, mark == _TOMBSTONE, value)

    @property
    def compact_revision(self) -> int:
        """What is older cannot be read; -1 if nothing was compacted."""
        meta = dict(self._file.items(b"meta"))
        found = [meta.get(name) for name in (b"scheduledCompactRev", b"finishedCompactRev")]
        if any(one is not None and len(one) < _REVISION.size for one in found):
            raise Corrupt(f"{self._path}: the revision of the last compaction is cut off")
        return max((_REVISION.unpack_from(one)[0] for one in found if one), default=-1)

    def leases(self) -> Iterator[EtcdLease]:
        for _, value in self._file.items(b"lease"):
            numbers = {"id": 0, "ttl_s": 0, "remaining_s": 0}
            for tag, number in _fields(value):
                if tag in _LEASE_FIELDS:
                    numbers[_LEASE_FIELDS[tag]] = number
            if not numbers["id"] or min(numbers["ttl_s"], numbers["remaining_s"]) < 0:
                raise Corrupt(f"{self._path}: {value.hex()} is no lease")
            yield EtcdLease(**numbers)

    def users(self) -> Iterator[tuple[bytes, bytes]]:
        """Names, and authpb.User encoded."""
        return self._file.items(b"authUsers")

    def roles(self) -> Iterator[tuple[bytes, bytes]]:
        return self._file.items(b"authRoles")

    @property
    def auth_enabled(self) -> bool:
        return dict(self._file.items(b"auth")).get(b"authEnabled") == b"\x01"

    @property
    def auth_revision(self) -> int:
        """0 where auth was never touched."""
        return int.from_bytes(dict(self._file.items(b"auth")).get(b"authRevision", b""), "big")


def check_digest(path: str) -> None:
    """Raises Corrupt unless the file ends with the SHA-256 of what is before it."""
    size = Path(path).stat().st_size
    if size % UNIT_BYTES != DIGEST_BYTES:
        raise Corrupt(
            f"{path} has {size} bytes, and no checksum behind whole pages: it was cut off, or it "
            f"is a member's own file, for which there is --skip-hash-check"
        )
    digest, left = hashlib.sha256(), size - DIGEST_BYTES
    with open(path, "rb") as file:
        while left:
            chunk = file.read(min(_CHUNK_BYTES, left))
            digest.update(chunk)
            left -= len(chunk)
        if file.read() != digest.digest():
            raise Corrupt(f"{path} fails its checksum: it is damaged, or not whole")


def _fields(message: bytes) -> Iterator[tuple[int, int]]:
    """Tags and numbers of a protobuf message that has nothing but int64 fields."""
    at = 0
    try:
        while at < len(message):
            tag = message[at]
            number, shift, at = 0, 0, at + 1
            while True:
                byte = message[at]
                number, shift, at = number | (byte & 127) << shift, shift + 7, at + 1
                if byte < 128:
                    break
            yield tag, number - (1 << 64) if number >> 63 else number
    except IndexError:
        raise Corrupt(f"a lease of {len(message)} bytes ends in the middle") from None
