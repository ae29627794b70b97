"""The planted bugs: each fits today's sources, and a sample of them is caught."""

from __future__ import annotations

from collections import Counter

import pytest

from jepsen_like.mutants.catalogue import MUTANTS, mutant_named
from jepsen_like.mutants.hunter import HuntFailed, hunt_one
from jepsen_like.mutants.images import IMAGE_MUTANTS
from jepsen_like.mutants.mutant import Change, Mutant
from jepsen_like.mutants.planting import MutantDoesNotApply, changed, plant, source_of
from jepsen_like.simulated.plan import FaultKind
from jepsen_like.workloads.registry import WORKLOADS

HUNTED = (
    "term-reset-at-restart",
    "commit-goes-back",
    "match-assigned",
    "ack-before-sync",
    "sync-error-ignored",
    "half-an-entry",
    "version-survives-delete",
    "progress-while-behind",
    "compacted-watcher-goes-on",
    "control-serializable-reads",
    "commit-by-counting-old-term",
    "change-before-own-commit",
    "two-changes-at-once",
    "joint-by-new-majority",
    "permissions-outlive-a-snapshot",
    "nested-txn-unasked",
    "one-key-allows-a-range",
)
"""Each dies within two CPU seconds, and they are of all kinds: votes, logs, disks, keys, watches;
the last seven by their schedules, which no seed finds in time."""
SEEDS_MAX = 10
"""What decides: so many seeds say the same on any machine."""
SECONDS_MAX = 240.0
"""A deadline for a hunt that hangs, far from what a slow machine needs."""


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_every_mutant_applies(mutant: Mutant) -> None:
    """Each text to change stands once in its module, and what comes out is still Python."""
    for module in {change.module for change in mutant.changes}:
        source = source_of(module)
        broken = changed(source, [c for c in mutant.changes if c.module == module])
        assert broken != source
        compile(broken, module, "exec", dont_inherit=True)


def test_no_two_mutants_share_a_name() -> None:
    """Names and numbers are unique, also among those that crash images look for."""
    names = Counter([mutant.name for mutant in MUTANTS] + list(IMAGE_MUTANTS))
    numbers = Counter(mutant.number for mutant in MUTANTS)
    assert max(names.values()) == 1, names.most_common(3)
    assert max(numbers.values()) == 1, numbers.most_common(3)


def test_mutants_are_found_by_name_and_number() -> None:
    """Both lead to the same one; another word is answered with the list."""
    for mutant in MUTANTS:
        assert mutant_named(mutant.name) is mutant_named(str(mutant.number)) is mutant
    with pytest.raises(ValueError, match=r"no mutant 'nobody'; there are .*commit-goes-back"):
        mutant_named("nobody")


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_every_mutant_says_how_it_is_hunted(mutant: Mutant) -> None:
    """Its checkers, and a workload and kinds of faults that there are."""
    assert mutant.checkers
    assert mutant.hunt.workload in WORKLOADS
    assert set(mutant.hunt.kinds) <= {kind.value for kind in FaultKind}


@pytest.mark.parametrize(
    ("change", "times"),
    [
        (Change("raftkv.raft.log", "text that nobody wrote", ""), 0),
        (Change("raftkv.raft.log", "self", "other"), source_of("raftkv.raft.log").count("self")),
    ],
)
def test_a_mutant_whose_text_is_gone_says_so(change: Change, times: int) -> None:
    """A text that is not there once is refused, by ``changed`` and before anything is planted."""
    with pytest.raises(MutantDoesNotApply, match=f"has the text to change {times} times, not once"):
        changed(source_of(change.module), [change])


def test_a_mutant_of_no_module_says_so() -> None:
    """A module that was renamed is no silent survivor, and nothing is planted."""
    change = Change("raftkv.raft.paxos", "a", "b")
    with pytest.raises(MutantDoesNotApply, match=r"no module raftkv\.raft\.paxos"):
        plant(Mutant(999, "made-up", "", (change,), frozenset({"linearizable"})))


def test_planting_comes_before_importing() -> None:
    """A module that runs already would go on unbroken, and the mutant survive for no reason."""
    assert source_of("raftkv.errors")
    from raftkv import errors

    change = Change(errors.__name__, "class RaftKVError", "class OtherError")
    with pytest.raises(AssertionError, match="too late to plant"):
        plant(Mutant(999, "made-up", "", (change,), frozenset({"linearizable"})))


@pytest.mark.slow
def test_a_hunt_that_breaks_is_no_kill() -> None:
    """A process that could not even begin is raised, with what it said."""
    with pytest.raises(HuntFailed, match="no mutant 'nobody'"):
        hunt_one("nobody", first_seed=0, seeds_max=1, seconds_max=1.0)


@pytest.mark.slow
def test_no_seeds_kill_nothing() -> None:
    """Without a run no mutant counts as killed."""
    result = hunt_one("commit-goes-back", first_seed=0, seeds_max=0, seconds_max=1.0)
    assert not result.killed
    assert result.seeds == 0


@pytest.mark.slow
@pytest.mark.parametrize("name", HUNTED)
def test_a_mutant_is_caught(name: str) -> None:
    """Seeds from 0 on, or its schedule, break it, and who should is the first to notice."""
    result = hunt_one(name, first_seed=0, seeds_max=SEEDS_MAX, seconds_max=SECONDS_MAX)
    assert result.killed, f"{result.seeds} seeds in {result.seconds:.1f} s found nothing"
    assert result.caught_by in mutant_named(name).checkers, result.reason
    assert result.reason
