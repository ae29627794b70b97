"""What can be broken, as values.

Owns: the kinds of disruption and their words. Must never do: break anything; the cluster's
Injector does. Every disruption can be ended, and leaves nothing behind but what it caused; a
flipped bit stays.
"""

from __future__ import annotations

from dataclasses import dataclass

Pair = tuple[str, str]
"""A directed link: whose bytes, and to whom."""

LOG, DATABASE = "log", "database"
"""The files that a bit is flipped in."""


@dataclass(frozen=True, slots=True)
class Kill:
    """SIGKILL, and a restart in the end. ``choice`` says how the members were chosen."""

    choice: str
    members: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Pause:
    """SIGSTOP, and SIGCONT in the end."""

    choice: str
    members: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Cut:
    """A partition. ``resets``: living connections are ended too, as routers and timeouts do;
    without, they live on and deliver late."""

    shape: str
    pairs: frozenset[Pair]
    resets: bool


@dataclass(frozen=True, slots=True)
class Slow:
    """Every piece waits ``delay_s`` on its way."""

    shape: str
    pairs: frozenset[Pair]
    delay_s: float


@dataclass(frozen=True, slots=True)
class Compactions:
    """A client that compacts again and again, up to ``behind`` revisions before the newest."""

    every_s: float
    behind: int


@dataclass(frozen=True, slots=True)
class SlowReaders:
    """Watch streams over all keys, from the oldest revision, that nobody reads."""

    member: str
    streams: int


@dataclass(frozen=True, slots=True)
class BitFlip:
    """SIGKILL, one bit of one file changed, and a restart in the end. ``file``: LOG (a part that
    was synced long ago) or DATABASE."""

    file: str
    member: str


@dataclass(frozen=True, slots=True)
class DiskFull:
    """No byte is left on the member's own file system."""

    member: str


@dataclass(frozen=True, slots=True)
class SlowDisk:
    """Every sync of the member waits first."""

    member: str
    delay_s: float


@dataclass(frozen=True, slots=True)
class ClockSkew:
    """The members' time of day is wrong by ``offset_s``, and their monotonic clocks gain
    ``rate_ppm`` parts in a million."""

    members: tuple[str, ...]
    offset_s: float
    rate_ppm: int


@dataclass(frozen=True, slots=True)
class LeaderTransfers:
    """The leader is asked again and again to hand over to another member."""

    every_s: float


@dataclass(frozen=True, slots=True)
class Defrags:
    """One member after the other rewrites its database."""

    every_s: float


@dataclass(frozen=True, slots=True)
class Replacement:
    """The member is removed from the cluster, wiped, and added as a new one in the end."""

    member: str


Disruption = (
    Kill
    | Pause
    | Cut
    | Slow
    | Compactions
    | SlowReaders
    | BitFlip
    | DiskFull
    | SlowDisk
    | ClockSkew
    | LeaderTransfers
    | Defrags
    | Replacement
)

_NAMES: dict[type[Disruption], str] = {
    Kill: "kill",
    Pause: "pause",
    Cut: "partition",
    Slow: "slow-link",
    Compactions: "compaction",
    SlowReaders: "slow-reader",
    DiskFull: "disk-full",
    SlowDisk: "slow-disk",
    ClockSkew: "clock",
    LeaderTransfers: "leader-transfer",
    Defrags: "defrag",
    Replacement: "member-replace",
}


def name_of(disruption: Disruption) -> str:
    """The name of its kind, which is what --nemesis takes."""
    if isinstance(disruption, BitFlip):
        return "bitflip" if disruption.file == LOG else "bitflip-db"
    return _NAMES[type(disruption)]


def words_of(disruption: Disruption) -> str:
    """For the history and for people."""
    match disruption:
        case Kill() | Pause():
            return f"{disruption.choice}: {', '.join(disruption.members)}"
        case Cut():
            how = "connections reset" if disruption.resets else "bytes held back"
            return f"{disruption.shape}: {_arrows(disruption.pairs)}, {how}"
        case Slow():
            delay = f"{disruption.delay_s * 1000:.0f} ms"
            return f"{disruption.shape}: {_arrows(disruption.pairs)}, {delay}"
        case Compactions():
            return f"every {disruption.every_s:g} s, up to {disruption.behind} revisions behind"
        case SlowReaders():
            return f"{disruption.streams} streams of {disruption.member} are not read"
        case BitFlip():
            return f"one bit in the {disruption.file} of {disruption.member}"
        case DiskFull() | Replacement():
            return disruption.member
        case SlowDisk():
            return f"{disruption.member}, {disruption.delay_s * 1000:.0f} ms a sync"
        case ClockSkew():
            rate = f"{disruption.rate_ppm / 10_000:+g} %"
            return f"{', '.join(disruption.members)}: {disruption.offset_s:+g} s, rate {rate}"
        case LeaderTransfers() | Defrags():
            return f"every {disruption.every_s:g} s"


def _arrows(pairs: frozenset[Pair]) -> str:
    both = {tuple(sorted(pair)) for pair in pairs if pair[::-1] in pairs}
    one = {pair for pair in pairs if pair[::-1] not in pairs}
    return " ".join([f"{a}<->{b}" for a, b in sorted(both)] + [f"{a}->{b}" for a, b in sorted(one)])
