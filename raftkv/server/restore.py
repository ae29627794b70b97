"""A saved snapshot becomes the data directory of a member of a new cluster.

Owns: the checks of the file, and what is made new: the cluster's identity, its members, the log,
and the distance to all revisions that clients may have seen. The key space and its history are the
snapshot's. Must never do: touch a data directory that holds something, or leave one behind that
looks whole and is not: the log comes last.

A saved file is a database image and then the SHA-256 of it, as etcd's are. The new cluster's
identity depends on what was restored: members made from different files refuse each other, and so
do members of the old cluster, whatever token they were given.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from raftkv.apply.membership import forget_members, write_member
from raftkv.backend.environment import Backend
from raftkv.backend.schema import Meta, Table
from raftkv.errors import ConfigError, Corrupt
from raftkv.mvcc.store import Store
from raftkv.raft.message import ConfState, HardState
from raftkv.server.applied_state import AppliedState
from raftkv.server.config import ServerConfig
from raftkv.server.foundation import BOOTSTRAP_INDEX, BOOTSTRAP_TERM, OpenBackend
from raftkv.server.identity import cluster_id, initial_members, member_id
from raftkv.wal.disk import Disk
from raftkv.wal.log import WriteAheadLog

DIGEST_BYTES = 32
IMAGE_UNIT_BYTES = 512


BUMP_REVISION = 1_000_000_000
"""What etcd's documentation suggests: a cluster of 1,000 writes a second reaches it in 11 days."""
BUMP_REVISION_MAX = 1 << 48
"""Further jumps would come near the end of int64 after some thousand restores."""

Replay = Callable[[Backend], object]
"""Brings the image's key space to a later revision. Raises Corrupt."""


@dataclass(frozen=True, slots=True)
class RestoreOptions:
    """The new cluster goes on ``bump_revision`` revisions later, and compacted there: whoever saw
    revisions after the backup is told, instead of missing what differs. 0 gives that up."""

    bump_revision: int = BUMP_REVISION
    check_hash: bool = True

    def validate(self) -> None:
        """Raises ConfigError."""
        if not 0 <= self.bump_revision <= BUMP_REVISION_MAX:
            raise ConfigError(
                f"--bump-revision must be between 0 and {BUMP_REVISION_MAX}, "
                f"got {self.bump_revision}"
            )


@dataclass(frozen=True, slots=True)
class Restored:
    """``saved_revision`` is where the backup ends, ``revision`` where the new cluster begins."""

    saved_revision: int
    revision: int
    cluster_id: int


def restore(
    snapshot: str,
    config: ServerConfig,
    options: RestoreOptions,
    disk: Disk,
    open_backend: OpenBackend,
    replay: Replay = lambda backend: None,
) -> Restored:
    """Make ``config.data_dir``. Raises ConfigError, Corrupt and OSError."""
    config.validate()
    options.validate()
    member_dir = str(Path(config.data_dir) / "member")
    wal_dir = config.wal_dir or f"{member_dir}/wal"
    for directory in (config.data_dir, wal_dir):
        if disk.list_dir(directory):
            raise ConfigError(f"{directory} is not empty: choose another, or remove it")
    try:
        disk.make_dir(member_dir)
        db_path = f"{member_dir}/db"
        digest = unpack(snapshot, db_path, disk, check_hash=options.check_hash)
        founding = _Founding(config, digest)
        backend = open_backend(db_path)
        try:
            if backend.get(Table.META, Meta.APPLIED) is None:
                raise Corrupt("the snapshot holds no raftkv database")
            replay(backend)
            restored = founding.found(backend, options)
            backend.commit()
        finally:
            backend.close()
        disk.sync_dir(member_dir)
        founding.create_log(disk, wal_dir)
    except BaseException:
        for name in disk.list_dir(wal_dir):  # the directory itself may be a mount
            disk.remove(f"{wal_dir}/{name}")
        disk.remove(config.data_dir)
        raise
    return restored


def unpack(snapshot: str, image: str, disk: Disk, *, check_hash: bool = True) -> bytes:
    """Write the database image inside the file at ``snapshot`` to ``image``, durably; its digest.
    Raises Corrupt unless the file ends with the SHA-256 of what is before it."""
    bare = not check_hash and disk.size(snapshot) % IMAGE_UNIT_BYTES == 0
    digest_bytes = 0 if bare else DIGEST_BYTES  # a database file that somebody copied has none
    file = disk.create(image)
    digest, held = hashlib.sha256(), b""
    left = disk.size(snapshot) - digest_bytes
    for chunk in disk.chunks(snapshot):
        done = chunk if len(chunk) <= left else chunk[: max(left, 0)]
        held += chunk[len(done) :]  # the last bytes are the checksum
        digest.update(done)
        file.write(done)
        left -= len(done)
    file.sync()
    file.close()
    if check_hash and held != digest.digest():
        disk.remove(image)
        raise Corrupt(f"{snapshot} fails its checksum: it is damaged, or not whole")
    return digest.digest()


class _Founding:
    """The new cluster: who it is, and where its revisions begin."""

    def __init__(self, config: ServerConfig, digest: bytes) -> None:
        self._config = config
        self._digest = digest
        self._token = ""
        self._applied = AppliedState(BOOTSTRAP_INDEX, BOOTSTRAP_TERM, ConfState())

    def found(self, backend: Backend, options: RestoreOptions) -> Restored:
        saved = Store(backend).current_revision
        self._token = (
            f"{self._config.initial_cluster_token}/{self._digest.hex()}/{saved}"
            f"/{options.bump_revision}"
        )
        forget_members(backend)
        members = initial_members(self._config.initial_cluster, self._token)
        for member in members:
            write_member(backend, member)
        voters = tuple(member.id for member in members)
        self._applied = AppliedState(BOOTSTRAP_INDEX, BOOTSTRAP_TERM, ConfState(voters=voters))
        backend.put(Table.META, Meta.APPLIED, self._applied.encode())
        return Restored(saved, _bump(backend, options), cluster_id(voters))

    def create_log(self, disk: Disk, wal_dir: str) -> None:
        config = self._config
        me = member_id(config.initial_cluster[config.name], self._token)
        identity = {"cluster_id": cluster_id(self._applied.conf_state.voters), "member_id": me}
        wal = WriteAheadLog.create(
            disk,
            wal_dir,
            json.dumps(identity).encode(),
            hard_state=HardState(BOOTSTRAP_TERM, 0, BOOTSTRAP_INDEX),
            marker=self._applied.meta,
            segment_bytes=config.limits.wal_segment_bytes,
        )
        wal.close()


def _bump(backend: Backend, options: RestoreOptions) -> int:
    store = Store(backend)
    if options.bump_revision:
        store.skip_revisions(options.bump_revision)
        store.compact(store.current_revision)
        store.flush_meta()
    return store.current_revision
