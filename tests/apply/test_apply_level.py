"""The cluster's level: changed by entries alone, and by none that comes too late."""

from __future__ import annotations

import pytest
from applied_store import Applied

from raftkv.apply.applier import Outcome
from raftkv.apply.batch import Batch, RequestKind
from raftkv.apply.behalf import encode_as_member
from raftkv.apply.level import (
    LEVEL_0_1,
    LEVEL_0_2,
    OWN_LEVEL,
    VERSIONS,
    ClusterLevel,
    LevelChange,
    LevelRow,
)
from raftkv.apply.membership import MemberInfo, write_member
from raftkv.backend.schema import Meta, Table
from raftkv.errors import Corrupt, MalformedRequest


def change(applied: Applied, payload: bytes) -> Outcome:
    """One entry of its own, asked for by a member as ``raftkv.server.upgrade`` does."""
    applier = applied.applier
    sequence = applier.sequences.get(1, 0) + 1
    request = (int(RequestKind.AS_MEMBER), encode_as_member(RequestKind.CLUSTER_LEVEL, payload))
    outcomes = applier.apply(10 + sequence, 3, Batch(1, sequence, [request]), want_replies=True)
    assert outcomes is not None
    return outcomes[0]


def raised(epoch: int, level: int = LEVEL_0_2) -> bytes:
    return LevelChange(level, held=False, epoch=epoch).encode()


def test_a_new_cluster_means_what_the_oldest_version_knows(applied: Applied) -> None:
    """Without a row it is level 0, so that an entry of 0.1.0 keeps its meaning."""
    assert applied.applier.level.current == LEVEL_0_1
    assert not applied.applier.level.row.held


def test_an_entry_raises_it_and_a_restart_finds_it(applied: Applied) -> None:
    """One CLUSTER_LEVEL entry, then the row read again as a restart does."""
    told: list[int] = []
    level = applied.applier.level
    level.changed = lambda: told.append(level.current)
    assert change(applied, raised(0)) == b""
    assert told == [LEVEL_0_2]
    assert level.row == LevelRow(LEVEL_0_2, held=False, epoch=1, index=11)
    assert ClusterLevel(applied.backend).row == level.row


def test_of_two_changes_at_once_the_second_changes_nothing(applied: Applied) -> None:
    """Lowered for a downgrade, while an entry that raises it was on its way."""
    change(applied, raised(0))
    late = raised(1)
    change(applied, LevelChange(LEVEL_0_1, held=True, epoch=1).encode())
    row = applied.applier.level.row
    change(applied, late)
    assert applied.applier.level.row == row == LevelRow(LEVEL_0_1, held=True, epoch=2, index=12)


def test_a_level_that_this_version_does_not_know_is_not_skipped(applied: Applied) -> None:
    """To skip what the others apply would be to diverge: the member stops and says why."""
    with pytest.raises(Corrupt, match="not older"):
        change(applied, raised(0, OWN_LEVEL + 1))
    assert applied.applier.level.current == LEVEL_0_1


@pytest.mark.parametrize("payload", [b"", b"{}", b"[]", b'{"level":"x","held":1,"epoch":0}'])
def test_nonsense_has_no_effect(applied: Applied, payload: bytes) -> None:
    """A payload that cannot be read is refused alike on all members."""
    assert isinstance(change(applied, payload), MalformedRequest)
    assert applied.applier.level.row == LevelRow()


def test_a_damaged_row_is_told(applied: Applied) -> None:
    """A row of META that is no JSON is Corrupt, not level 0."""
    applied.backend.put(Table.META, Meta.LEVEL, b"{")
    with pytest.raises(Corrupt, match="level"):
        applied.applier.level.reload()


def test_every_level_names_its_version() -> None:
    """`downgrade` is asked for by version: each level up to our own has one."""
    assert list(VERSIONS) == list(range(OWN_LEVEL + 1))


def test_a_held_level_waits_for_every_members_barrier(applied: Applied) -> None:
    """One that says which member it is of, in the epoch that the lowering began; and once only."""
    level = applied.applier.level
    for member in (1, 2):
        write_member(applied.backend, MemberInfo(member, "", (f"http://{member}:1",), ()))
    change(applied, LevelChange(LEVEL_0_1, held=True, epoch=0).encode())
    assert level.row == LevelRow(LEVEL_0_1, held=True, epoch=1, index=11, awaited=(1, 2))
    change(applied, LevelChange(LEVEL_0_1, held=True, epoch=7, barrier_of=1).encode())
    change(applied, LevelChange(LEVEL_0_1, held=True, epoch=0, barrier_of=3).encode())
    assert level.row.awaited == (1, 2)
    change(applied, LevelChange(LEVEL_0_1, held=True, epoch=0, barrier_of=2).encode())
    assert (level.row.awaited, level.row.index) == ((1,), 14)
    assert ClusterLevel(applied.backend).row == level.row
    change(applied, LevelChange(LEVEL_0_1, held=True, epoch=0, barrier_of=2).encode())
    change(applied, LevelChange(LEVEL_0_1, held=True, epoch=0, barrier_of=1).encode())
    assert level.row == LevelRow(LEVEL_0_1, held=True, epoch=1, index=16)
