"""What can be broken, as values.

Owns: the kinds of disruption and their words. Must never do: break anything; the cluster's
Injector does. Every disruption can be ended, and leaves nothing behind but what it caused.
"""

from __future__ import annotations

from dataclasses import dataclass

Pair = tuple[str, str]
"""A directed link: whose bytes, and to whom."""


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


Disruption = Kill | Pause | Cut | Slow | Compactions | SlowReaders


def name_of(disruption: Disruption) -> str:
    """The name of its kind, which is what --nemesis takes."""
    match disruption:
        case Kill():
            return "kill"
        case Pause():
            return "pause"
        case Cut():
            return "partition"
        case Slow():
            return "slow-link"
        case Compactions():
            return "compaction"
        case SlowReaders():
            return "slow-reader"


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


def _arrows(pairs: frozenset[Pair]) -> str:
    both = {tuple(sorted(pair)) for pair in pairs if pair[::-1] in pairs}
    one = {pair for pair in pairs if pair[::-1] not in pairs}
    return " ".join([f"{a}<->{b}" for a, b in sorted(both)] + [f"{a}->{b}" for a, b in sorted(one)])
