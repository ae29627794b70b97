"""From a backup's directory to a data directory.

Owns: putting a base and the log after it together. Must never do: found a cluster itself;
``raftkv.server.restore`` does.
"""

from __future__ import annotations

from dataclasses import dataclass

from raftkv.backend.environment import Backend
from raftkv.backup.directory import BackupDirectory
from raftkv.backup.image import hash_of
from raftkv.backup.replay import Replayed, Told, replay
from raftkv.backup.timeline import Point
from raftkv.errors import Corrupt
from raftkv.mvcc.hash import HashResult
from raftkv.mvcc.store import Store
from raftkv.server.config import ServerConfig
from raftkv.server.foundation import OpenBackend
from raftkv.server.restore import Restored, RestoreOptions, restore


@dataclass(frozen=True, slots=True)
class RestoredPoint:
    """``hash`` is HashKV's at the point, before the new cluster's revisions were moved on."""

    restored: Restored
    replayed: Replayed
    hash: HashResult


def restore_point(
    directory: BackupDirectory,
    point: Point,
    config: ServerConfig,
    options: RestoreOptions,
    open_backend: OpenBackend,
    told: Told = lambda revision: None,
) -> RestoredPoint:
    """Make ``config.data_dir`` from the base and the log after it. Raises ConfigError, Corrupt and
    OSError."""
    done: list[tuple[Replayed, HashResult]] = []

    def go_on(backend: Backend) -> None:
        replayed = replay(backend, directory.disk, point.chain, point.revision, told)
        if replayed.revision != point.revision:
            raise Corrupt(
                f"{directory.path} ends at revision {replayed.revision}, "
                f"{replayed.torn_bytes} bytes behind it cannot be read; restore "
                f"--to-revision {replayed.revision}, or from an earlier base"
            )
        done.append((replayed, hash_of(Store(backend))))

    restored = restore(point.base.path, config, options, directory.disk, open_backend, go_on)
    replayed, hashed = done[0]
    return RestoredPoint(restored, replayed, hashed)
