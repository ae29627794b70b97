"""What the services need of the member they speak for.

Owns: one narrow protocol per service, which ``raftkv.server.member.Member`` fulfils. Must never
do: grow what no service calls. All calls are made and answered on the event loop's thread.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from raftkv.apply.alarm_book import Alarm, AlarmKind
from raftkv.apply.level import ClusterLevel
from raftkv.errors import RaftKVError
from raftkv.lease.book import LeaseBook
from raftkv.mvcc.hash import HashResult
from raftkv.mvcc.store import Store
from raftkv.mvcc.watch_hub import WatchHub
from raftkv.raft.config import RandomSource
from raftkv.scheduler import Scheduler
from raftkv.server.authority import Authority
from raftkv.server.backup import Backup
from raftkv.server.change_request import ChangeKind, ChangeRequest, Review
from raftkv.server.config import ServerConfig
from raftkv.server.leader_loss import LeaderLoss
from raftkv.server.leasing import TimeLeft
from raftkv.server.quarantine import Quarantine
from raftkv.server.status import MemberInfo, MemberStatus

Done = Callable[[bytes | RaftKVError], None]
Proceed = Callable[[RaftKVError | None], None]
Added = Callable[[MemberInfo | RaftKVError], None]


class Identified(Protocol):
    """What every header tells."""

    @property
    def cluster_id(self) -> int: ...

    @property
    def member_id(self) -> int: ...

    @property
    def raft_term(self) -> int: ...


class Led(Protocol):
    @property
    def leader_id(self) -> int:
        """0 while no leader is known. Asked for on every call: an attribute, no computation."""

    @property
    def serves_as_learner(self) -> bool:
        """Whether it is there to learn, and so serves next to nothing; one that is about to get
        its vote serves all. Asked for as often."""

    @property
    def leader_loss(self) -> LeaderLoss:
        """Who is told when no leader is known for too long."""

    @property
    def quarantine(self) -> Quarantine:
        """Whether this member's data is wrong."""


class Readable(Protocol):
    @property
    def store(self) -> Store: ...

    def linearize(self, proceed: Proceed) -> None:
        """Call ``proceed`` once a read of the store sees all that was acknowledged before now.
        Neither ``proceed`` nor a ``done`` ever raises."""

    def read_local(self, proceed: Proceed) -> None:
        """Call ``proceed`` as soon as this member's own state can be read, stale or not."""


class Guarded(Readable, Protocol):
    """What the door asks, while auth is enabled."""

    @property
    def config(self) -> ServerConfig: ...

    @property
    def authority(self) -> Authority: ...

    def propose(self, kind: int, payload: bytes, done: Done) -> None: ...


class AuthMember(Identified, Led, Guarded, Protocol):
    """Of the Auth service."""


class KvMember(Identified, Led, Guarded, Protocol):
    @property
    def scheduler(self) -> Scheduler: ...

    def has_room(self, cost: int) -> bool:
        """Whether a write of ``cost`` fits under the quota. If not, the alarm is on its way."""

    def when_compacted(self, done: Callable[[], None]) -> None:
        """Call ``done`` once every compaction asked for so far has removed its data."""


class Downgradable(Protocol):
    """The way back to the version before."""

    @property
    def level(self) -> ClusterLevel: ...

    def lower(self, done: Proceed) -> None: ...

    def cancel(self, done: Proceed) -> None: ...


class Upkeep(Protocol):
    """What an operator asks of one member. Each call answers through its callback, or raises."""

    def alarms(self, kind: AlarmKind) -> Sequence[Alarm]: ...

    def hash_kv(self, revision: int, done: Callable[[HashResult | RaftKVError], None]) -> None: ...

    def hash_backend(self, done: Callable[[int | RaftKVError], None]) -> None: ...

    def defragment(self, done: Proceed) -> None: ...

    def open_backup(self, done: Callable[[Backup | RaftKVError], None]) -> None: ...

    def keep_backup(self, name: str, backup: Backup) -> None: ...

    def take_backup(self, name: str) -> Backup | None: ...

    def move_leader(self, target: int, done: Proceed) -> None: ...

    @property
    def upgrade(self) -> Downgradable: ...


class MaintenanceMember(Identified, Led, Guarded, Protocol):
    def status(self) -> MemberStatus: ...

    @property
    def maintenance(self) -> Upkeep: ...


class ChangeDesk(Protocol):
    """Where changes of members are asked for. ``change`` and ``review`` raise what is refused at
    once."""

    def kind_of_addition(self, *, is_learner: bool, stays: bool = False) -> ChangeKind: ...

    def change(self, request: ChangeRequest, done: Added) -> None: ...

    def review(
        self, request: ChangeRequest, done: Callable[[Review | RaftKVError], None]
    ) -> None: ...


class ClusterMember(Identified, Led, Guarded, Protocol):
    def members(self) -> Sequence[MemberInfo]: ...

    @property
    def membership(self) -> ChangeDesk: ...

    def promote_member(self, member_id: int, done: Proceed) -> None: ...


class WatchMember(Identified, Led, Guarded, Protocol):
    @property
    def hub(self) -> WatchHub: ...

    @property
    def scheduler(self) -> Scheduler: ...

    @property
    def random(self) -> RandomSource: ...


class LeaseDesk(Protocol):
    """Leases as any member can tell of them; what the leader alone knows, it asks the leader."""

    @property
    def book(self) -> LeaseBook: ...

    def renew(self, lease_id: int, renewed: Callable[[int | RaftKVError], None], /) -> None:
        """``renewed`` gets the TTL, 0 for a lease that there is not, or the error."""

    def time_left(
        self, lease_id: int, told: Callable[[TimeLeft | RaftKVError], None], /
    ) -> None: ...

    def ids(self) -> Sequence[int]: ...


class LeaseMember(Identified, Led, Guarded, Protocol):
    @property
    def random(self) -> RandomSource: ...

    @property
    def leases(self) -> LeaseDesk: ...

    def has_room(self, cost: int) -> bool:
        """Whether a request that costs ``cost`` bytes stays below the quota."""
