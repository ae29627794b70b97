"""A database file of etcd's, read: bbolt's B+ trees of pages.

Owns: the file's layout, of which every length and page number is checked before it is followed.
Must never do: write, or read all of it into memory: the file is mapped. The layout is bbolt's
version 2 (go.etcd.io/bbolt), which etcd has had since 3.0:

    page     id u64 | flags u16 | count u16 | overflow u32 | elements          (little-endian)
    meta     magic, version, page size, flags u32 | root u64, sequence u64 | freelist, pages,
             txid, checksum u64: FNV-1a of what is before it. Two; the newer whole one counts
    branch   per element: where its key is, from the element on, u32; its size u32; child page u64
    leaf     per element: flags u32; where its key is u32; sizes of key and value u32
    bucket   is a leaf's value: root u64, sequence u64, and with root 0 its one page right behind
"""

from __future__ import annotations

import mmap
import struct
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType

from raftkv.errors import Corrupt

_PAGE = struct.Struct("<QHHI")
_META = struct.Struct("<IIIIQQQQQQ")
_BRANCH = struct.Struct("<IIQ")
_LEAF = struct.Struct("<IIII")
_BUCKET = struct.Struct("<QQ")
_CHECKSUM_BYTES = 8
MAGIC = 0xED0CDAED
VERSION = 2
BRANCH, LEAF, META = 0x01, 0x02, 0x04
IS_BUCKET = 0x01
PAGE_BYTES_MIN, PAGE_BYTES_MAX = 512, 1 << 16
Item = tuple[bytes, bytes]


class BoltFile:
    """A context manager. Raises Corrupt for a file that is none, and OSError."""

    def __init__(self, path: str | Path) -> None:
        self._path = str(path)
        with open(path, "rb") as file:
            try:
                self._map = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
            except ValueError:
                raise Corrupt(f"{path} is empty: it is no database of etcd's") from None
        self._page_bytes, self._root, self._pages = self._newest_meta()

    def __enter__(self) -> BoltFile:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._map.close()

    @property
    def data_bytes(self) -> int:
        """Where the last page in use ends."""
        return self._pages * self._page_bytes

    def items(self, bucket: bytes) -> Iterator[Item]:
        """What the top-level bucket of that name holds, in the order of keys; nothing if there is
        no such bucket. Buckets inside it are left out: etcd has none."""
        for name, value in self._walk(self._root):
            if name == bucket:
                yield from self._inside(value)
                return

    def _inside(self, value: bytes) -> Iterator[Item]:
        if len(value) < _BUCKET.size:
            raise self._broken("a bucket's header is cut off")
        root, _ = _BUCKET.unpack_from(value)
        if root:
            return self._walk(root)
        page = value[_BUCKET.size :]
        return self._leaf(page, "a bucket's own page")

    # --- trees ------------------------------------------------------------------------------------

    def _walk(self, page_id: int, above: tuple[int, ...] = ()) -> Iterator[Item]:
        """All items below a page. In a damaged file it could be below itself."""
        if page_id in above:
            raise self._broken(f"page {page_id} is below itself")
        page = self._page(page_id)
        _, flags, _, _ = _PAGE.unpack_from(page)
        if flags & LEAF:
            yield from self._leaf(page, f"page {page_id}")
        elif flags & BRANCH:
            for child in self._children(page, page_id):
                yield from self._walk(child, (*above, page_id))
        else:
            raise self._broken(f"page {page_id} has flags {flags:#x}: neither branch nor leaf")

    def _children(self, page: bytes, page_id: int) -> list[int]:
        _, _, count, _ = _PAGE.unpack_from(page)
        if _PAGE.size + count * _BRANCH.size > len(page):
            raise self._broken(f"page {page_id} names {count} children, more than it has room for")
        elements = range(_PAGE.size, _PAGE.size + count * _BRANCH.size, _BRANCH.size)
        return [_BRANCH.unpack_from(page, at)[2] for at in elements]

    def _leaf(self, page: bytes, where: str) -> Iterator[Item]:
        if len(page) < _PAGE.size:
            raise self._broken(f"{where} is cut off")
        _, _, count, _ = _PAGE.unpack_from(page)
        if _PAGE.size + count * _LEAF.size > len(page):
            raise self._broken(f"{where} has {count} items, more than it has room for")
        is_root = where == f"page {self._root}"
        for number in range(count):
            at = _PAGE.size + number * _LEAF.size
            flags, key_at, key_bytes, value_bytes = _LEAF.unpack_from(page, at)
            start = at + key_at
            middle, end = start + key_bytes, start + key_bytes + value_bytes
            if end > len(page):
                raise self._broken(f"item {number} of {where} ends beyond it")
            if is_root or not flags & IS_BUCKET:
                yield page[start:middle], page[middle:end]

    # --- pages ------------------------------------------------------------------------------------

    def _page(self, page_id: int) -> bytes:
        """The page with all its overflow pages."""
        start = page_id * self._page_bytes
        if not 2 <= page_id < self._pages or start + _PAGE.size > len(self._map):
            raise self._broken(f"page {page_id} is named, and there are {self._pages}")
        found, _, _, overflow = _PAGE.unpack_from(self._map, start)
        end = start + (1 + overflow) * self._page_bytes
        if found != page_id or end > len(self._map):
            raise self._broken(f"page {page_id} says {found}, with {overflow} more behind it")
        return self._map[start:end]

    def _newest_meta(self) -> tuple[int, int, int]:
        """Page size, root page and number of pages by the newer of two metas that is whole."""
        found: list[tuple[int, tuple[int, int, int]]] = []
        sizes = [1 << power for power in range(9, 17)]
        for at in (0, *sizes):
            meta = self._meta(at)
            if meta is not None and (at in (0, meta[0])):
                txid, told = meta[3], meta[:3]
                found.append((txid, told))
        if not found:
            raise Corrupt(f"{self._path} is no database of etcd's: it has no whole meta page")
        return max(found)[1]

    def _meta(self, at: int) -> tuple[int, int, int, int] | None:
        start = at + _PAGE.size
        if start + _META.size > len(self._map):
            return None
        magic, version, size, _, root, _, _, pages, txid, checksum = _META.unpack_from(
            self._map, start
        )
        checked = self._map[start : start + _META.size - _CHECKSUM_BYTES]
        if magic != MAGIC or checksum != fnv_1a(checked):
            return None
        if version != VERSION or not PAGE_BYTES_MIN <= size <= PAGE_BYTES_MAX:
            raise Corrupt(
                f"{self._path} is of bbolt's version {version} with pages of {size} bytes: "
                f"version {VERSION} is known"
            )
        return size, root, pages, txid

    def _broken(self, what: str) -> Corrupt:
        return Corrupt(f"{self._path} is damaged: {what}")


def fnv_1a(data: bytes) -> int:
    """64 bits."""
    total = 0xCBF29CE484222325
    for byte in data:
        total = (total ^ byte) * 0x100000001B3 & 0xFFFFFFFFFFFFFFFF
    return total
