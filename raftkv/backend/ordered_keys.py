"""User keys of any length in a table whose keys LMDB limits to 511 bytes.

Owns: the one ordered map that mvcc sees. Must never do: change the order of keys. A key of up to
500 bytes is its own row. Longer keys that share their first 500 bytes share one bucket row, at
those 500 bytes and a zero byte: behind the 500-byte key itself and before everything else, which is
where they sort. A bucket holds its keys sorted, and is rewritten whole: long keys are rare.
"""

from __future__ import annotations

import struct
import sys
from bisect import bisect_left
from collections.abc import Iterator
from itertools import islice

from raftkv.backend.environment import Backend, Rows, Views
from raftkv.backend.schema import Meta, Table

PLAIN_KEY_BYTES_MAX = 500
_BUCKET_KEY_BYTES = PLAIN_KEY_BYTES_MAX + 1
_LENGTHS = struct.Struct("<II")

Bucket = list[tuple[bytes, bytes]]


class OrderedKeys:
    """A table by user keys. ``end`` is exclusive; None means no end."""

    def __init__(self, backend: Backend, table: Table) -> None:
        self._backend = backend
        self._table = table
        self._flag = Meta.LONG_KEYS + table.database
        self.reload()

    def reload(self) -> None:
        """The database was replaced: ask it anew whether it has long keys."""
        self._has_buckets = self._backend.get(Table.META, self._flag) is not None

    def get(self, key: bytes) -> bytes | None:
        if len(key) <= PLAIN_KEY_BYTES_MAX:
            return self._backend.get(self._table, key)
        bucket = self._bucket(key)
        at = bisect_left(bucket, (key,))
        return bucket[at][1] if at < len(bucket) and bucket[at][0] == key else None

    def put(self, key: bytes, value: bytes) -> None:
        if len(key) <= PLAIN_KEY_BYTES_MAX:
            self._backend.put(self._table, key, value)
            return
        if not self._has_buckets:
            self._has_buckets = True
            self._backend.put(Table.META, self._flag, b"1")
        bucket = self._bucket(key)
        at = bisect_left(bucket, (key,))
        if at < len(bucket) and bucket[at][0] == key:
            bucket[at] = (key, value)
        else:
            bucket.insert(at, (key, value))
        self._backend.put(self._table, _bucket_key(key), _encode(bucket))

    def delete(self, key: bytes) -> bool:
        if len(key) <= PLAIN_KEY_BYTES_MAX:
            return self._backend.delete(self._table, key)
        bucket = self._bucket(key)
        at = bisect_left(bucket, (key,))
        if at == len(bucket) or bucket[at][0] != key:
            return False
        del bucket[at]
        if bucket:
            self._backend.put(self._table, _bucket_key(key), _encode(bucket))
        else:
            self._backend.delete(self._table, _bucket_key(key))
        return True

    def scan(self, start: bytes, end: bytes | None) -> Rows:
        """Rows of [start, end) in the order of their keys."""
        if not self._has_buckets:
            return self._backend.cursor(self._table, start, end)
        return self._scan_buckets(start, end)

    def joined(
        self, start: bytes, end: bytes | None, limit: int, bytes_max: int = 0
    ) -> tuple[list[bytes], int]:
        """The first ``limit`` values, or all with 0, joined in pieces, and how many they are; no
        further one once there are ``bytes_max`` bytes, unless that is 0."""
        if not self._has_buckets:
            return self._backend.joined(self._table, start, end, limit, bytes_max)
        rows = self._scan_buckets(start, end)
        left = bytes_max or sys.maxsize
        values: list[bytes] = []
        for _, value in islice(rows, limit) if limit else rows:
            values.append(value)
            left -= len(value)
            if left <= 0:
                break
        return values, len(values)

    def views(self, start: bytes, end: bytes | None, most: int) -> Views:
        """The values of [start, end), ``most`` at a time, as ``Backend.views`` has them."""
        if not self._has_buckets:
            return self._backend.views(self._table, start, end, most)
        rows = (value for _, value in self._scan_buckets(start, end))
        return iter(lambda: list(islice(rows, most)), [])

    def count(self, start: bytes, end: bytes | None, rows_max: int = 0) -> tuple[int, bytes]:
        """How many keys there are, counting ``rows_max`` at most (0: all); and the last one."""
        if not self._has_buckets:
            return self._backend.count(self._table, start, end, rows_max)
        rows = self._scan_buckets(start, end)
        count, last = 0, b""
        for last, _ in islice(rows, rows_max) if rows_max else rows:  # noqa: B007 - the last one's
            count += 1
        return count, last

    @property
    def is_empty(self) -> bool:
        return self._backend.first(self._table) is None

    def _scan_buckets(self, start: bytes, end: bytes | None) -> Iterator[tuple[bytes, bytes]]:
        first = start if len(start) <= PLAIN_KEY_BYTES_MAX else _bucket_key(start)
        for key, value in self._backend.cursor(self._table, first, None):
            if len(key) != _BUCKET_KEY_BYTES:
                if end is not None and key >= end:
                    return
                yield key, value
                continue
            for long_key, long_value in _decode(value):
                if end is not None and long_key >= end:
                    return
                if long_key >= start:
                    yield long_key, long_value

    def _bucket(self, key: bytes) -> Bucket:
        row = self._backend.get(self._table, _bucket_key(key))
        return _decode(row) if row is not None else []


def _bucket_key(key: bytes) -> bytes:
    return key[:PLAIN_KEY_BYTES_MAX] + b"\0"


def _encode(bucket: Bucket) -> bytes:
    return b"".join(_LENGTHS.pack(len(k), len(v)) + k + v for k, v in bucket)


def _decode(row: bytes) -> Bucket:
    bucket: Bucket = []
    at = 0
    while at < len(row):
        key_size, value_size = _LENGTHS.unpack_from(row, at)
        at += _LENGTHS.size
        bucket.append((row[at : at + key_size], row[at + key_size : at + key_size + value_size]))
        at += key_size + value_size
    return bucket
