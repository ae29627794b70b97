"""Crash images: the power is cut at every point of what real members wrote to real files."""

from __future__ import annotations

import re
from pathlib import Path
from random import Random

import pytest

from jepsen_like.images.campaign import Plot, images, judge_all, judge_failed_sync, perform
from jepsen_like.images.filesystem import FileSystem
from jepsen_like.images.mutant import MUTANTS
from jepsen_like.images.recipe import (
    Cut,
    Recipe,
    choice_of,
    doubtful_points,
    drawn,
    plain_cuts,
    torn_writes,
)
from jepsen_like.images.recorder import Recording
from jepsen_like.images.stream import Change, Flag, Kind, Stream

ALONE = Plot(seed=1, requests=40)
TOGETHER = Plot(seed=4, requests=40, members=3)


def wrote(path: str, offset: int, data: bytes, flags: Flag = Flag.NONE) -> Change:
    return Change(Kind.WRITE, flags, path, "", 1, offset, data)


def synced(path: str, flags: Flag = Flag.NONE) -> Change:
    return Change(Kind.SYNC, flags, path, "", 1, 0, b"")


CREATED = Change(Kind.OPEN, Flag.CREATED, "file", "", 1, 0, b"")
NAMED = Change(Kind.SYNC, Flag.DIRECTORY, "", "", 0, 0, b"")


def left(changes: list[Change], recipe: Recipe) -> dict[str, bytes | None]:
    filesystem = FileSystem()
    for change in changes:
        filesystem.apply(change)
    return dict(filesystem.after(choice_of(recipe, filesystem)))


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Recording:
    """One member's recording, which several tests read."""
    return perform(ALONE, tmp_path_factory.mktemp("alone"))


def test_what_is_not_synced_may_be_gone() -> None:
    """Data needs the file's sync, a name its directory's: neither stands in for the other."""
    data = wrote("file", 0, b"x" * 10)
    nothing = Recipe(0, Cut.NOTHING)
    assert left([CREATED, data, synced("file")], nothing) == {}
    assert left([CREATED, data, NAMED], nothing) == {"file": b""}
    assert left([CREATED, data, NAMED, synced("file")], nothing) == {"file": b"x" * 10}
    assert left([CREATED, data, NAMED], Recipe(0, Cut.ALL)) == {"file": b"x" * 10}


def test_a_write_through_a_syncing_descriptor_is_durable() -> None:
    """It stands over what was written before it, whichever of that survives."""
    before, after = wrote("file", 0, b"a" * 9), wrote("file", 0, b"b" * 3, Flag.DURABLE)
    assert left([CREATED, NAMED, before, after], Recipe(0, Cut.NOTHING)) == {"file": b"bbb"}
    assert left([CREATED, NAMED, before, after], Recipe(0, Cut.ALL)) == {"file": b"bbbaaaaaa"}


def test_no_later_sync_saves_what_a_failed_one_lost() -> None:
    """After a failed sync the pages are in doubt for good: fsyncgate."""
    changes = [CREATED, NAMED, wrote("file", 0, b"a"), synced("file", Flag.FAILED)]
    changes += [wrote("file", 1, b"b"), synced("file")]
    assert left(changes, Recipe(0, Cut.NOTHING)) == {"file": b"\0b"}
    assert left(changes, Recipe(0, Cut.ALL)) == {"file": b"ab"}


def test_sectors_survive_one_by_one() -> None:
    """A write of four sectors is seen whole, gone, and in part; a sector never in part."""
    data = b"".join(bytes([65 + i]) * 512 for i in range(4))
    changes = [CREATED, NAMED, wrote("file", 0, data)]
    seen = {left(changes, Recipe(0, Cut.SECTORS, n))["file"] or b"" for n in range(200)}
    assert data in seen
    assert b"" in seen
    assert any(b"\0" in found for found in seen)
    for found in seen:
        for at in range(0, len(found), 512):
            assert len(set(found[at : at + 512])) == 1


def test_the_same_recipe_gives_the_same_image(alone: Recording) -> None:
    """Rebuilding an image from its name gives the same bytes."""
    recipes = drawn(doubtful_points(alone.stream), 7, 30)
    assert [Recipe.parse(str(recipe)) for recipe in recipes] == recipes
    first = [image for _, image in images(alone.stream, recipes)]
    assert first == [image for _, image in images(alone.stream, recipes)]


def test_commits_of_the_database_are_durable_when_they_return(alone: Recording) -> None:
    """LMDB's meta page goes through a syncing descriptor: the log is cut on the word of it."""
    metas = [c for c in alone.stream.changes if c.path.endswith("/db") and len(c.data) == 120]
    assert len(metas) > 5, "no commit was recorded"
    assert all(c.flags & Flag.DURABLE for c in metas)


@pytest.mark.slow
def test_every_point_with_all_or_nothing(alone: Recording, tmp_path: Path) -> None:
    """At each point at which the power can go, without chance: data, names, both, neither."""
    recipes = plain_cuts(doubtful_points(alone.stream))
    report = judge_all(ALONE, alone.stream, recipes, tmp_path)
    assert not report.broken, report.broken
    assert report.distinct > 100, report


@pytest.mark.slow
def test_writes_survive_in_any_choice(alone: Recording, tmp_path: Path) -> None:
    """Un-synced sectors, pages and names are kept by chance; a sample of the writes is torn."""
    recipes = drawn(doubtful_points(alone.stream), 1, 120)
    recipes += Random(1).sample(torn_writes(alone.stream), 60)
    report = judge_all(ALONE, alone.stream, recipes, tmp_path)
    assert not report.broken, report.broken
    assert report.distinct > 120, report


@pytest.mark.slow
def test_a_cluster_that_loses_power_at_once(tmp_path: Path) -> None:
    """Three members, one of which installs a snapshot, lose power together and agree again."""
    stream = perform(TOGETHER, tmp_path).stream
    installs = [
        number
        for number, change in enumerate(stream.changes)
        if change.kind is Kind.RENAME and change.other.endswith("/db")
    ]
    assert installs, "no snapshot was installed"
    near = [p for p in doubtful_points(stream) if any(abs(p - i) < 6 for i in installs)]
    recipes = plain_cuts(near) + drawn(near, 1, 15) + drawn(doubtful_points(stream), 2, 45)
    report = judge_all(TOGETHER, stream, recipes, tmp_path)
    assert not report.broken, report.broken
    assert report.distinct > 50, report


@pytest.mark.slow
@pytest.mark.parametrize("mutant", MUTANTS)
def test_planted_bugs_are_found(mutant: str, tmp_path: Path) -> None:
    """Positive controls: each storage bug breaks an image of a few hundred."""
    plot = Plot(ALONE.seed, ALONE.requests, mutant=mutant)
    stream = perform(plot, tmp_path).stream
    points = doubtful_points(stream)
    report = judge_all(plot, stream, plain_cuts(points), tmp_path, broken_max=1)
    assert report.broken, report


def _one_of_each_site(stream: Stream) -> list[int]:
    """The number of the last sync of each kind of file: the state is the richest then."""
    sites: dict[str, int] = {}
    for number, change in enumerate(stream.syncs, 1):
        sites[f"{change.kind.name} {re.sub('[0-9a-f]{16}', 'N', change.path)}"] = number
    return sorted(sites.values())


@pytest.mark.slow
def test_a_failed_sync_ends_the_member(alone: Recording, tmp_path: Path) -> None:
    """At each call site: the process ends, and whether the pages of the failed sync are there or
    not, all that was acknowledged is."""
    numbers = _one_of_each_site(alone.stream)
    assert len(numbers) > 8, numbers
    for number in numbers:
        report = judge_failed_sync(ALONE, number, tmp_path / str(number))
        assert not report.broken, (number, alone.stream.syncs[number - 1].path, report.broken)
