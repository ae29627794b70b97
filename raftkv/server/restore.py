"""A saved snapshot becomes the data directory of a member of a new cluster.

Owns: the checks of the file, and what is made new: the cluster's identity, its members, the log.
The key space, its history and its revision are the snapshot's. Must never do: touch a data
directory that holds something, or leave one behind that looks whole and is not: the log comes last.

A saved file is a database image and then the SHA-256 of it, as etcd's are.
"""

from __future__ import annotations

import hashlib
import json
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


@dataclass(frozen=True, slots=True)
class RestoreOptions:
    """``bump_revision`` keeps a distance to revisions that clients saw after the snapshot was
    taken; ``mark_compacted`` ends watches that would not notice the jump."""

    bump_revision: int = 0
    mark_compacted: bool = False
    check_hash: bool = True

    def validate(self) -> None:
        """Raises ConfigError."""
        if self.bump_revision < 0:
            raise ConfigError(f"--bump-revision must be 0 or more, got {self.bump_revision}")
        if bool(self.bump_revision) != self.mark_compacted:
            raise ConfigError("--bump-revision and --mark-compacted are given together or not")


def restore(
    snapshot: str,
    config: ServerConfig,
    options: RestoreOptions,
    disk: Disk,
    open_backend: OpenBackend,
) -> int:
    """Make ``config.data_dir``; the revision that its cluster starts at. Raises ConfigError,
    Corrupt and OSError."""
    config.validate()
    options.validate()
    member_dir = str(Path(config.data_dir) / "member")
    wal_dir = config.wal_dir or f"{member_dir}/wal"
    for directory in (config.data_dir, wal_dir):
        if disk.list_dir(directory):
            raise ConfigError(f"{directory} is not empty: choose another, or remove it")
    disk.make_dir(member_dir)
    try:
        db_path = f"{member_dir}/db"
        unpack(snapshot, db_path, disk, check_hash=options.check_hash)
        applied, revision = _prepare(db_path, config, options, open_backend)
        disk.sync_dir(member_dir)
        _create_log(config, disk, wal_dir, applied)
    except BaseException:
        disk.remove(config.data_dir)
        raise
    return revision


def unpack(snapshot: str, image: str, disk: Disk, *, check_hash: bool = True) -> bytes:
    """Write the database image inside the file at ``snapshot`` to ``image``, durably; its digest.
    Raises Corrupt unless the file ends with the SHA-256 of what is before it."""
    bare = not check_hash and disk.size(snapshot) % IMAGE_UNIT_BYTES == 0
    digest_bytes = 0 if bare else DIGEST_BYTES  # a database file that somebody copied has none
    file = disk.create(image)
    digest, held = hashlib.sha256(), b""
    for chunk in disk.chunks(snapshot):
        held += chunk  # the last bytes are the checksum: hold back as many
        done = held[: max(len(held) - digest_bytes, 0)]
        digest.update(done)
        file.write(done)
        held = held[len(done) :]
    file.sync()
    file.close()
    if check_hash and held != digest.digest():
        disk.remove(image)
        raise Corrupt(f"{snapshot} fails its checksum: it is damaged, or not whole")
    return digest.digest()


def _prepare(
    db_path: str, config: ServerConfig, options: RestoreOptions, open_backend: OpenBackend
) -> tuple[AppliedState, int]:
    backend = open_backend(db_path)
    try:
        applied = _found_cluster(backend, config)
        revision = _bump(backend, options)
        backend.commit()
    finally:
        backend.close()
    return applied, revision


def _found_cluster(backend: Backend, config: ServerConfig) -> AppliedState:
    if backend.get(Table.META, Meta.APPLIED) is None:
        raise Corrupt("the snapshot holds no raftkv database")
    forget_members(backend)
    members = initial_members(config.initial_cluster, config.initial_cluster_token)
    for member in members:
        write_member(backend, member)
    voters = tuple(member.id for member in members)
    applied = AppliedState(BOOTSTRAP_INDEX, BOOTSTRAP_TERM, ConfState(voters=voters))
    backend.put(Table.META, Meta.APPLIED, applied.encode())
    return applied


def _bump(backend: Backend, options: RestoreOptions) -> int:
    store = Store(backend)
    if options.bump_revision:
        store.skip_revisions(options.bump_revision)
        store.compact(store.current_revision)
        store.flush_meta()
    return store.current_revision


def _create_log(config: ServerConfig, disk: Disk, wal_dir: str, applied: AppliedState) -> None:
    token = config.initial_cluster_token
    me = member_id(config.initial_cluster[config.name], token)
    identity = {"cluster_id": cluster_id(applied.conf_state.voters), "member_id": me}
    wal = WriteAheadLog.create(
        disk,
        wal_dir,
        json.dumps(identity).encode(),
        hard_state=HardState(BOOTSTRAP_TERM, 0, BOOTSTRAP_INDEX),
        marker=applied.meta,
        segment_bytes=config.limits.wal_segment_bytes,
    )
    wal.close()
