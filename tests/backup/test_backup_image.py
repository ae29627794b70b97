"""Looking into a saved file where it lies: no byte of it changes, and nothing else will do."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import pytest
from past_store import PastStore

from raftkv.backend.image import LmdbImage
from raftkv.backend.schema import Table
from raftkv.backup.image import check_digest, look_into
from raftkv.errors import Corrupt


def saved(past: PastStore) -> Path:
    past.save_base()
    return Path(past.directory.chains()[0].bases[-1].path)


def test_a_file_is_looked_into_where_it_lies(tmp_path: Path) -> None:
    """Its revision, its keys and its hash are the store's; not a byte of it changes, no lock stays
    beside it, and a file that only its owner may write to will do."""
    past = PastStore(tmp_path, 1)
    for _ in range(30):
        past.write()
    path = saved(past)
    expected, keys = past.store.hash_kv(0), len(past.at[past.revision])
    before = hashlib.sha256(path.read_bytes()).digest()
    path.chmod(0o400)
    beside = sorted(path.parent.iterdir())
    check_digest(str(path))
    found = look_into(str(path))
    assert (found.hash, found.revision, found.total_keys) == (
        expected.hash,
        past.revision,
        keys,
    )
    assert found.total_size == path.stat().st_size
    assert hashlib.sha256(path.read_bytes()).digest() == before
    assert sorted(path.parent.iterdir()) == beside
    past.close()


def test_a_table_of_a_later_version_is_empty(tmp_path: Path) -> None:
    """A file of a version that did not know a table yet can be looked into all the same."""
    past = PastStore(tmp_path, 2)
    for _ in range(30):
        past.write()
    backend = past.backend
    backend.commit()
    file: Any = backend._raw
    for table in (Table.LEASE_KEYS, Table.LEASE_KEYS_CHECKS):
        file._txn.drop(file._db[table])  # as an older version would have left it
    path = saved(past)
    assert look_into(str(path)).revision == past.revision
    image = LmdbImage(str(path))
    assert list(image.cursor(Table.LEASE_KEYS)) == []
    assert image.get(Table.LEASE_KEYS, b"k") is None
    assert image.first(Table.LEASE_KEYS) is None
    assert image.count(Table.LEASE_KEYS, b"", None) == (0, b"")
    image.close()


def test_what_is_no_database_is_named(tmp_path: Path) -> None:
    """Nothing, noise, etcd's own format, and a file that was cut: each is refused with what it is,
    and cut or changed bytes by the checksum."""
    path = tmp_path / "file"
    for data, said in (
        (b"", "is not a raftkv database"),
        (b"\1" * 9000, "is not a raftkv database"),
        (bytes(16) + (0xED0CDAED).to_bytes(4, "little") + bytes(5000), "import snapshot"),
        (bytes(16) + (0xBEEFC0DE).to_bytes(4, "little") + bytes(9000), "cannot be read"),
    ):
        path.write_bytes(data)
        with pytest.raises(Corrupt, match=said):
            look_into(str(path))
        with pytest.raises(Corrupt, match="fails its checksum"):
            check_digest(str(path))
