"""A member without Raft: what is proposed is applied at once, on a real store."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from random import Random
from typing import Any, TypeVar

from google.protobuf.message import Message

from raftkv.apply.alarm_book import Alarm, AlarmKind
from raftkv.apply.applier import Applier
from raftkv.apply.batch import Batch
from raftkv.apply.membership import MemberInfo
from raftkv.auth.passwords import COST_MIN
from raftkv.backend.environment import LmdbBackend
from raftkv.errors import RaftKVError
from raftkv.lease.book import LeaseBook
from raftkv.mvcc.hash import BackendHash, HashResult
from raftkv.mvcc.store import Store
from raftkv.server.authority import Authority, AuthSettings
from raftkv.server.change_request import ChangeKind, ChangeRequest, Quorum, Review
from raftkv.server.config import Limits, ServerConfig
from raftkv.server.leader_loss import LeaderLoss
from raftkv.server.quarantine import Quarantine
from raftkv.server.status import MemberStatus
from raftkv.wire.service import Service, Status

CLUSTER_ID = 0xCDF818194E3A8C32
MEMBER_ID = 0x8E9E05C52164694D
NEW_MEMBER_ID = 0xA1B2C3D4E5F60718

MessageT = TypeVar("MessageT", bound=Message)


class FakeCall:
    """A call that keeps its answer."""

    def __init__(self, metadata: Mapping[str, str] | None = None) -> None:
        self.metadata = metadata or {}
        self.deadline: float | None = None
        self.peer = "127.0.0.1:1"
        self.peer_common_name = ""
        self.cancelled = False
        self.answers: list[bytes | Status] = []
        self.gone: Callable[[], object] = lambda: None

    def when_cancelled(self, proceed: Callable[[], object]) -> None:
        self.gone = proceed

    def cancel(self) -> None:
        """The client goes away."""
        self.cancelled = True
        self.gone()

    def reply(self, message: bytes) -> None:
        self.answers.append(message)

    def reply_in_pieces(self, pieces: Sequence[bytes]) -> None:
        self.reply(b"".join(pieces))

    def fail(self, status: Status) -> None:
        self.answers.append(status)

    @property
    def answer(self) -> bytes | Status:
        assert len(self.answers) == 1, f"{len(self.answers)} answers to one call"
        return self.answers[0]


class _Now:
    """A worker and a clock that wait for nobody: ``time`` moves when a test moves it."""

    def __init__(self) -> None:
        self.time = 0.0

    def now(self) -> float:
        return self.time

    def call_soon(self, callback: Callable[[], None]) -> None:
        callback()

    def call_later(self, delay_s: float, callback: Callable[[], None]) -> Any:
        raise AssertionError("nothing here waits for a time")

    def run(self, job: Callable[[], None], done: Callable[[BaseException | None], None]) -> None:
        try:
            job()
        except RaftKVError as error:
            done(error)
        else:
            done(None)


class FakeUpkeep:
    """Hashes at once; ``moved`` notes the target of a MoveLeader and answers ``error``."""

    def __init__(self, member: FakeMember) -> None:
        self._member = member
        self.moved: list[int] = []
        self.error: RaftKVError | None = None

    def alarms(self, kind: AlarmKind) -> list[Alarm]:
        return self._member.applier.alarms.active(kind)

    def hash_kv(self, revision: int, done: Callable[[HashResult | RaftKVError], None]) -> None:
        done(self._member.store.hash_kv(revision))

    def hash_backend(self, done: Callable[[int | RaftKVError], None]) -> None:
        run = BackendHash(self._member.backend)
        while not run.step(3):
            pass
        done(run.crc)

    def defragment(self, done: Callable[[RaftKVError | None], None]) -> None:
        done(self.error)

    @property
    def upgrade(self) -> FakeUpkeep:
        return self

    def lower(self, done: Callable[[RaftKVError | None], None]) -> None:
        self._member.asked.append("lower")
        done(self.error)

    def cancel(self, done: Callable[[RaftKVError | None], None]) -> None:
        self._member.asked.append("cancel")
        done(self.error)

    def move_leader(self, target: int, done: Callable[[RaftKVError | None], None]) -> None:
        self.moved.append(target)
        done(self.error)


class FakeDesk:
    """Notes each change; who is added is a learner if that was asked for. ``looked`` is what a
    review says."""

    def __init__(self, member: FakeMember) -> None:
        self._member = member
        self.looked = Review(Quorum((1,), (1,)), Quorum((1, 0), (1,)))

    def kind_of_addition(self, *, is_learner: bool, stays: bool = False) -> ChangeKind:
        if stays:
            return ChangeKind.ADD_LEARNER
        return ChangeKind.ADD_LEARNER if is_learner else ChangeKind.JOIN

    def change(
        self, request: ChangeRequest, done: Callable[[MemberInfo | RaftKVError], None]
    ) -> None:
        is_learner = request.kind is ChangeKind.ADD_LEARNER
        row = MemberInfo(NEW_MEMBER_ID, "", request.peer_urls, (), is_learner)
        self._member.note(_words(request), lambda error: done(error or row))

    def review(self, request: ChangeRequest, done: Callable[[Review | RaftKVError], None]) -> None:
        self._member.note(f"look at {_words(request)}", lambda error: done(error or self.looked))


def _words(request: ChangeRequest) -> str:
    words = [request.kind.value]
    words += [f"{request.member_id:x}"] if request.member_id else []
    words += [",".join(request.peer_urls)] if request.peer_urls else []
    return " ".join([*words, "unsafe"] if request.is_unsafe else words)


class FakeMember:
    """Notes in ``asked`` which way each request went. ``hold`` keeps proposals and reads until
    ``release``; ``error`` is what they are answered with instead; ``refusal`` is what changes of
    members raise at once."""

    def __init__(
        self, path: Path, limits: Limits | None = None, auth: AuthSettings | None = None
    ) -> None:
        self.config = ServerConfig(limits=limits or Limits())
        self.cluster_id = CLUSTER_ID
        self.member_id = MEMBER_ID
        self.raft_term = 3
        self.leader_id = MEMBER_ID
        self.serves_as_learner = False
        self.leader_loss = LeaderLoss(self.config.election_timeout_ticks)
        self.quarantine = Quarantine()
        self.backend = LmdbBackend(str(path))
        self.store = Store(self.backend)
        self.lease_book = LeaseBook(self.backend)
        self.applier = Applier(
            self.store,
            self.backend,
            self.lease_book,
            cluster_id=CLUSTER_ID,
            member_id=MEMBER_ID,
        )
        self.scheduler = _Now()
        self.random = Random(7)
        self.authority = Authority(
            self.applier.auth,
            self.lease_book,
            self,
            [self.scheduler],
            auth or AuthSettings(bcrypt_cost=COST_MIN),
        )
        self.asked: list[str] = []
        self.hold = False
        self.error: RaftKVError | None = None
        self.refusal: RaftKVError | None = None
        self.rows: list[MemberInfo] = []
        self.errors: tuple[str, ...] = ()
        self.room = 2**31
        self.maintenance = FakeUpkeep(self)
        self.membership = FakeDesk(self)
        self._held: list[Callable[[], None]] = []
        self._compaction_waiters: list[Callable[[], None]] = []
        self._sequence = 0

    @property
    def applied_index(self) -> int:
        return self._sequence

    def propose(
        self, kind: int, payload: bytes, done: Callable[[bytes | RaftKVError], None]
    ) -> None:
        self.asked.append("propose")

        def apply() -> None:
            self._sequence += 1
            batch = Batch(MEMBER_ID, self._sequence, [(kind, payload)])
            outcomes = self.applier.apply(self._sequence, self.raft_term, batch, want_replies=True)
            assert outcomes is not None
            done(self.error or outcomes[0])

        self._run(apply)

    def linearize(self, proceed: Callable[[RaftKVError | None], None]) -> None:
        self.asked.append("linearize")
        self._run(lambda: proceed(self.error))

    def read_local(self, proceed: Callable[[RaftKVError | None], None]) -> None:
        self.asked.append("read_local")
        self._run(lambda: proceed(self.error))

    def has_room(self, cost: int) -> bool:
        return cost <= self.room

    def when_compacted(self, done: Callable[[], None]) -> None:
        self.asked.append("when_compacted")
        self._compaction_waiters.append(done)

    def status(self) -> MemberStatus:
        return MemberStatus(
            self.leader_id, self.raft_term, 21, 20, 8192, 4096, 2**31, False, self.errors
        )

    def members(self) -> list[MemberInfo]:
        return self.rows

    def promote_member(self, member_id: int, done: Callable[[RaftKVError | None], None]) -> None:
        self.note(f"promote {member_id:x}", done)

    def note(self, what: str, done: Callable[[RaftKVError | None], None]) -> None:
        self.asked.append(what)
        if self.refusal is not None:
            raise self.refusal
        self._run(lambda: done(self.error))

    def release(self) -> None:
        held, self._held = self._held, []
        for job in held:
            job()

    def finish_compaction(self) -> None:
        while not self.store.compact_step(1000):
            pass
        waiters, self._compaction_waiters = self._compaction_waiters, []
        for done in waiters:
            done()

    def _run(self, job: Callable[[], None]) -> None:
        if self.hold:
            self._held.append(job)
        else:
            job()


def start(
    service: Service, method: str, request: Message | bytes, call: FakeCall | None = None
) -> FakeCall:
    """Call as the wire does: a handler that raises is answered with its status."""
    call = call or FakeCall()
    payload = request if isinstance(request, bytes) else request.SerializeToString()
    try:
        service.unary[method](payload, call)
    except Exception as error:  # noqa: BLE001 - this is what the wire does
        call.fail(service.status_of(error))
    return call


def reply(service: Service, method: str, request: Message, kind: type[MessageT]) -> MessageT:
    """The decoded reply of a call that is answered at once."""
    answer = start(service, method, request).answer
    assert isinstance(answer, bytes), answer
    return kind.FromString(answer)


def failure(service: Service, method: str, request: Message | bytes) -> Status:
    answer = start(service, method, request).answer
    assert isinstance(answer, Status), answer
    return answer
