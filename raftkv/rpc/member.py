"""What the services need of the member they speak for.

Owns: one narrow protocol per service, which ``raftkv.server.member.Member`` fulfils. Must never
do: grow what no service calls. All calls are made and answered on the event loop's thread.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from raftkv.errors import RaftKVError
from raftkv.mvcc.store import Store
from raftkv.mvcc.watch_hub import WatchHub
from raftkv.raft.config import RandomSource
from raftkv.scheduler import Scheduler
from raftkv.server.config import ServerConfig
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
    def is_learner(self) -> bool:
        """Whether it has no vote yet, and so serves next to nothing. Asked for as often."""


class Readable(Protocol):
    @property
    def store(self) -> Store: ...

    def linearize(self, proceed: Proceed) -> None:
        """Call ``proceed`` once a read of the store sees all that was acknowledged before now.
        Neither ``proceed`` nor a ``done`` ever raises."""

    def read_local(self, proceed: Proceed) -> None:
        """Call ``proceed`` as soon as this member's own state can be read, stale or not."""


class KvMember(Identified, Led, Readable, Protocol):
    @property
    def config(self) -> ServerConfig: ...

    def propose(self, kind: int, payload: bytes, done: Done) -> None: ...

    def when_compacted(self, done: Callable[[], None]) -> None:
        """Call ``done`` once every compaction asked for so far has removed its data."""


class MaintenanceMember(Identified, Led, Readable, Protocol):
    def status(self) -> MemberStatus: ...


class ClusterMember(Identified, Led, Readable, Protocol):
    def members(self) -> Sequence[MemberInfo]: ...

    def add_member(self, peer_urls: Sequence[str], *, is_learner: bool, done: Added) -> None:
        """Like the next ones, raises what is refused at once."""

    def remove_member(self, member_id: int, done: Proceed) -> None: ...

    def promote_member(self, member_id: int, done: Proceed) -> None: ...

    def update_member(self, member_id: int, peer_urls: Sequence[str], done: Proceed) -> None: ...


class WatchMember(Identified, Led, Protocol):
    @property
    def config(self) -> ServerConfig: ...

    @property
    def store(self) -> Store: ...

    @property
    def hub(self) -> WatchHub: ...

    @property
    def scheduler(self) -> Scheduler: ...

    @property
    def random(self) -> RandomSource: ...
