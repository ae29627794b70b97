"""What a member stands on: its data directory, opened or made, and agreed with itself.

Owns: the layout of the data directory, the first start of a new cluster, and the order in which
log, database and snapshot files are reconciled after a crash. Must never do: guess: what does
not fit together is refused with Corrupt and a word on what to do.

    DATA-DIR/member/wal/    the log                     (raftkv.wal)
    DATA-DIR/member/snap/   snapshot files              (raftkv.wal.snapshot_dir)
    DATA-DIR/member/db      the LMDB file               (raftkv.backend)
    DATA-DIR/member/lives   how often this member has started
    DATA-DIR/member/peers   who the members are, should the database be lost
    DATA-DIR/member/quarantine  why the database is not to be believed (raftkv.server.quarantine)
    DATA-DIR/member/db.damaged  the last one that was not

All calls block: they run before the loop starts, or on a worker.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from raftkv.apply.membership import MemberInfo, read_members, write_member
from raftkv.backend.checked import CheckedBackend
from raftkv.backend.environment import Backend
from raftkv.backend.schema import Meta, Table
from raftkv.errors import ConfigError, Corrupt, Damaged
from raftkv.lease.book import LeaseBook
from raftkv.log_fields import fields, hex_id
from raftkv.mvcc.store import Store
from raftkv.raft.message import ConfState, Entry, EntryType, HardState, Snapshot
from raftkv.server.applied_state import AppliedState
from raftkv.server.config import ServerConfig
from raftkv.server.identity import cluster_id, initial_members, member_id
from raftkv.server.introduction import CLUSTER_ID, ClusterView, Joining
from raftkv.wal.disk import Disk
from raftkv.wal.log import WriteAheadLog
from raftkv.wal.recovery import Replay
from raftkv.wal.snapshot_dir import IncomingSnapshot, SnapshotDir

log = logging.getLogger("raftkv.server")

BOOTSTRAP_INDEX = 1
"""A new cluster's members start from the same made-up snapshot at this index, which holds the
member list. It is not 0, so that an empty member that joins later never matches it by accident."""
BOOTSTRAP_TERM = 1

NUMBERS_PER_LIFE = 1 << 32

OpenBackend = Callable[[str], CheckedBackend]


class Foundation:
    """The open files of one member. Also the ``SnapshotStore`` of ``raftkv.server.snapshots``."""

    def __init__(
        self,
        *,
        wal: WriteAheadLog,
        replay: Replay,
        backend: CheckedBackend,
        snapshots: SnapshotDir,
        disk: Disk,
        open_backend: OpenBackend,
        lives: int,
        member_dir: str,
    ) -> None:
        identity = json.loads(replay.metadata)
        self.cluster_id: int = identity["cluster_id"]
        self.member_id: int = identity["member_id"]
        self.lives = lives
        self.wal = wal
        self.backend = backend
        self.snapshot = replay.snapshot
        self.entries = replay.entries
        self.disk = disk
        self._member_dir = member_dir
        self.quarantined = self._read_quarantine()
        """Why the database is not to be believed; "" if it is."""
        self._snapshots = snapshots
        self._open_backend = open_backend
        self.applied = self._reconcile()
        commit = max(replay.hard_state.commit, self.applied.index)
        self.hard_state = replace(replay.hard_state, commit=commit)
        self.store = Store(backend)
        self.leases = LeaseBook(backend)

    @property
    def first_number(self) -> int:
        """Every start of a member numbers its batches, read rounds and questions from its own
        range, above all that it can have used before: a late message of an old life is never
        taken for one of the new."""
        return self.lives * NUMBERS_PER_LIFE

    # --- applied state ----------------------------------------------------------------------

    def read_applied(self) -> AppliedState:
        return _read_applied(self.backend)

    def save_applied(self, state: AppliedState) -> None:
        self.backend.put(Table.META, Meta.APPLIED, state.encode())

    # --- snapshot files -----------------------------------------------------------------------

    def make(self) -> Snapshot:
        """Copy the last commit to a snapshot file; the position is read out of the copy."""
        path = self._snapshots.fresh_image_path()
        self.backend.copy_to(path)
        copy = self._open_backend(path)
        try:
            applied = _read_applied(copy)
        finally:
            copy.close()
        final = self._snapshots.adopt(path, applied.index)
        return Snapshot(applied.meta, final.encode())

    def copy_path(self) -> str:
        """A free name for a copy of the database, which does not outlive the process."""
        return self._snapshots.copy_path()

    def open_snapshot(self) -> IncomingSnapshot:
        """A file for a snapshot that a leader sends."""
        return self._snapshots.incoming()

    def install(self, index: int) -> None:
        """Put the received snapshot at ``index`` in the database's place."""
        aside = f"{self._member_dir}/db.damaged" if self.quarantined else ""
        self.backend.replace(self._snapshots.path(index), aside)
        found = self.read_applied().index
        assert found == index, f"the snapshot for index {index} holds index {found}"

    def purge(self, keep_index: int) -> None:
        self._snapshots.purge(keep_index)

    # --- a database that is wrong ---------------------------------------------------------------

    def note_quarantine(self, reason: str) -> None:
        """Durably: a new process must not believe the database either."""
        self.quarantined = reason
        write_durably(self.disk, self._member_dir, "quarantine", reason.encode())

    def end_quarantine(self) -> None:
        self.quarantined = ""
        self.disk.remove(f"{self._member_dir}/quarantine")
        self.disk.sync_dir(self._member_dir)

    def note_peers(self, members: Sequence[MemberInfo]) -> None:
        view = ClusterView(members=tuple(members))
        write_durably(self.disk, self._member_dir, "peers", view.encode())

    def _read_quarantine(self) -> str:
        path = f"{self._member_dir}/quarantine"
        return self.disk.read(path).decode(errors="replace") if self.disk.exists(path) else ""

    def stand_alone(self) -> None:
        """--force-new-cluster: make this member the only one, by its own word, durably.

        What its log holds stays, also what was never committed: its writers were not answered.
        Changes of members that are not applied yet become empty entries, here and in the log."""
        for member in read_members(self.backend):
            if member.id != self.member_id:
                write_member(self.backend, member, removed=True)
        alone = ConfState(voters=(self.member_id,))
        self.applied = replace(self.applied, conf_state=alone)
        self.save_applied(self.applied)
        self.backend.commit()
        tail = [
            entry
            if entry.type is not EntryType.CONF_CHANGE or entry.index <= self.applied.index
            else Entry(entry.term, entry.index)
            for entry in self.entries
        ]
        changed = [i for i, entry in enumerate(tail) if entry is not self.entries[i]]
        if changed:
            self.wal.append(None, tail[changed[0] :])
            self.wal.sync()
            self.entries = tail
        told = fields(local_member_id=hex_id(self.member_id))
        log.warning("forced a new cluster of this member alone", extra=told)

    def close(self) -> None:
        self.backend.close()
        self.wal.close()

    def abandon(self) -> None:
        """Let go of the files as a killed process would: nothing is flushed or sealed."""
        self.backend.close()
        self.wal.abandon()

    def _reconcile(self) -> AppliedState:
        """Database and log of one member, after whatever happened to the process."""
        applied = _read_applied(self.backend)
        marker = self.snapshot.index
        if applied.index < marker:
            # The log accepted a leader's snapshot, and the crash came before the swap.
            log.warning("finishing the installation of a snapshot", extra=fields(index=marker))
            self.install(marker)
            applied = _read_applied(self.backend)
        last = self.entries[-1].index if self.entries else marker
        if applied.index > last:
            raise Corrupt(
                f"the database has applied index {applied.index}, but the log ends at {last}: "
                f"the log has lost entries; remove this member and add it anew"
            )
        return applied


def holds_data(config: ServerConfig, disk: Disk) -> bool:
    """Whether a member has ever begun here. Without it, ``introduction`` comes first."""
    wal_dir = _wal_dir(config)
    return disk.exists(wal_dir) and WriteAheadLog.exists(disk, wal_dir)


def others_known(config: ServerConfig, open_backend: OpenBackend) -> dict[str, MemberInfo]:
    """The other members by the rows of a member's own database, by name or id. Before it is opened
    for good: to ask them, which --force-new-cluster would be too late for afterwards."""
    backend = open_backend(str(Path(config.data_dir) / "member" / "db"))
    try:
        rows = read_members(backend)
    finally:
        backend.close()
    mine = set(config.initial_advertise_peer_urls)
    return {row.name or f"{row.id:x}": row for row in rows if not mine & set(row.peer_urls)}


def open_foundation(
    config: ServerConfig, disk: Disk, open_backend: OpenBackend, joining: Joining | None = None
) -> Foundation:
    """Open the data directory, or make it: for a new cluster, or for a member that is ``joining``.

    Raises Corrupt for what does not fit, OSError for what the file system refuses.
    """
    member_dir = Path(config.data_dir) / "member"
    wal_dir, db_path = _wal_dir(config), str(member_dir / "db")
    disk.make_dir(str(member_dir))
    snapshots = SnapshotDir(disk, str(member_dir / "snap"))
    if not WriteAheadLog.exists(disk, wal_dir):
        first = _first_state(config, joining)
        _make(first, config.limits.wal_segment_bytes, disk, wal_dir, db_path, open_backend)
    segment_bytes = config.limits.wal_segment_bytes
    wal, replay = WriteAheadLog.open(disk, wal_dir, segment_bytes=segment_bytes)
    if replay.repaired_bytes:
        told = fields(bytes=replay.repaired_bytes)
        log.warning("cut an unfinished write off the log", extra=told)
    lives = _count_life(disk, str(member_dir))

    def opened() -> Foundation:
        return Foundation(
            wal=wal,
            replay=replay,
            backend=open_backend(db_path),
            snapshots=snapshots,
            disk=disk,
            open_backend=open_backend,
            lives=lives,
            member_dir=str(member_dir),
        )

    try:
        foundation = opened()
    except Damaged as e:
        if not config.operations.healing.is_on:
            raise
        _begin_anew(str(member_dir), replay, disk, open_backend, e)
        foundation = opened()
    if config.force_new_cluster:
        foundation.stand_alone()
    return foundation


def _begin_anew(
    member_dir: str, replay: Replay, disk: Disk, open_backend: OpenBackend, damage: Damaged
) -> None:
    """An empty database in the place of one that cannot be opened, to be filled by a peer: the log
    is whole, so what this member has promised stays true. Raises Damaged where there is no peer."""
    view = None
    if disk.exists(f"{member_dir}/peers"):
        view = ClusterView.decode(disk.read(f"{member_dir}/peers"), {CLUSTER_ID.lower(): "0"})
    identity = json.loads(replay.metadata)
    others = {row.id for row in view.members} - {identity["member_id"]} if view else set()
    marker = replay.snapshot
    if view is None or not others & {*marker.conf_state.voters}:
        raise Damaged(f"{damage}; no other member is known that has its data: restore a backup")
    log.critical(
        "the database cannot be opened: beginning with an empty one, which a peer will fill",
        extra=fields(reason=str(damage), local_member_id=hex_id(identity["member_id"])),
    )
    write_durably(disk, member_dir, "quarantine", str(damage).encode())
    disk.rename(f"{member_dir}/db", f"{member_dir}/db.damaged")
    backend = open_backend(f"{member_dir}/db")
    for member in view.members:
        write_member(backend, member)
    applied = AppliedState(marker.index, marker.term, marker.conf_state)
    backend.put(Table.META, Meta.APPLIED, applied.encode())
    backend.commit()
    backend.close()


def _count_life(disk: Disk, member_dir: str) -> int:
    """The number of this start, durable before anything is proposed in it. It is no part of the
    replicated state: a snapshot from another member must not bring that member's count."""
    path = f"{member_dir}/lives"
    lives = int(disk.read(path)) + 1 if disk.exists(path) else 1
    write_durably(disk, member_dir, "lives", b"%d" % lives)
    return lives


def write_durably(disk: Disk, directory: str, name: str, content: bytes) -> None:
    """All of it or nothing."""
    path = f"{directory}/{name}"
    file = disk.create(path + ".tmp")
    file.write(content)
    file.sync()
    file.close()
    disk.rename(path + ".tmp", path)
    disk.sync_dir(directory)


@dataclass(frozen=True, slots=True)
class _FirstState:
    cluster_id: int
    member_id: int
    members: Sequence[MemberInfo]
    applied: AppliedState
    hard_state: HardState


def _first_state(config: ServerConfig, joining: Joining | None) -> _FirstState:
    """Every member of a new cluster makes the same one. A member that joins knows only whom to
    listen to: it is in no configuration before a leader's snapshot says so."""
    if joining is not None:
        nothing = AppliedState(0, 0, ConfState())
        return _FirstState(
            joining.cluster_id, joining.member_id, joining.members, nothing, HardState()
        )
    if config.initial_cluster_state == "existing":
        raise ConfigError(
            f"{config.data_dir} holds no data, and nobody was asked for the cluster to join"
        )
    token = config.initial_cluster_token
    members = initial_members(config.initial_cluster, token)
    ids = tuple(member.id for member in members)
    applied = AppliedState(BOOTSTRAP_INDEX, BOOTSTRAP_TERM, ConfState(voters=ids))
    me = member_id(config.initial_cluster[config.name], token)
    hard_state = HardState(BOOTSTRAP_TERM, 0, BOOTSTRAP_INDEX)
    return _FirstState(cluster_id(ids), me, members, applied, hard_state)


def _make(
    first: _FirstState,
    segment_bytes: int,
    disk: Disk,
    wal_dir: str,
    db_path: str,
    open_backend: OpenBackend,
) -> None:
    """The log's existence seals it."""
    disk.remove(db_path)
    backend = open_backend(db_path)
    for member in first.members:
        write_member(backend, member)
    backend.put(Table.META, Meta.APPLIED, first.applied.encode())
    backend.commit()
    backend.close()
    identity = {"cluster_id": first.cluster_id, "member_id": first.member_id}
    disk.sync_dir(str(Path(db_path).parent))  # the database's name, before the log vouches for it
    wal = WriteAheadLog.create(
        disk,
        wal_dir,
        json.dumps(identity).encode(),
        hard_state=first.hard_state,
        marker=first.applied.meta,
        segment_bytes=segment_bytes,
    )
    wal.close()
    log.info(
        "starting local member",
        extra=fields(
            local_member_id=hex_id(first.member_id),
            cluster_id=hex_id(first.cluster_id),
            members=len(first.members),
        ),
    )


def _wal_dir(config: ServerConfig) -> str:
    return config.wal_dir or str(Path(config.data_dir) / "member" / "wal")


def _read_applied(backend: Backend) -> AppliedState:
    data = backend.get(Table.META, Meta.APPLIED)
    if data is None:
        raise Damaged("the database holds no applied index: it is not a raftkv database")
    return AppliedState.decode(data)
