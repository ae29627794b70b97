"""Many images of one recording, judged.

Owns: recording a script, walking the stream once over all recipes, and the report. Must never do:
judge the same bytes twice, or call a recording that missed something good: all that was recorded,
played back, must give the files that are there.
"""

from __future__ import annotations

import hashlib
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from jepsen_like.images.courtroom import Courtroom
from jepsen_like.images.filesystem import FileSystem, Image
from jepsen_like.images.performer import EXIT_MEMBER_FAILED
from jepsen_like.images.recipe import CHANCE, Cut, Recipe, choice_of
from jepsen_like.images.recorder import RecorderError, Recording, record
from jepsen_like.images.script import draw_script, requests_of
from jepsen_like.images.stream import Flag, Kind, Stream

BROKEN_MAX = 20
AGAIN_EVERY = 5
"""Each so-many-th image is killed and opened a second time."""


SNAPSHOTS = "/member/snap"


@dataclass(frozen=True, slots=True)
class Plot:
    """What is recorded."""

    seed: int
    requests: int
    members: int = 1
    mutant: str = ""

    def command(self, directory: Path) -> list[str]:
        command = [sys.executable, "-m", "jepsen_like.images.performer", str(directory)]
        command += ["--seed", str(self.seed), "--requests", str(self.requests)]
        command += ["--members", str(self.members)]
        return command + (["--mutant", self.mutant] if self.mutant else [])


@dataclass(frozen=True, slots=True)
class Broken:
    """An image that breaks a promise, and how to build it again."""

    recipe: Recipe
    reason: str


@dataclass(slots=True)
class Report:
    """``built`` counts images by kind, ``distinct`` those that differ and so were judged."""

    built: Counter[str] = field(default_factory=Counter)
    distinct: int = 0
    broken: list[Broken] = field(default_factory=list)

    @property
    def images(self) -> int:
        return self.built.total()


@dataclass(frozen=True, slots=True)
class Progress:
    """How many requests were sent and acknowledged by a point of the stream."""

    sent: int = 0
    acknowledged: int = 0


def perform(plot: Plot, scratch: Path, *, failing_sync: int = 0) -> Recording:
    """Record ``plot`` on real files under ``scratch``, and check that nothing was missed."""
    directory = scratch / "recorded"
    directory.mkdir(parents=True)
    recording = record(
        plot.command(directory), directory, scratch / "log", failing_sync=failing_sync
    )
    check_complete(recording.stream, directory)
    if recording.status not in (0, EXIT_MEMBER_FAILED):
        raise RecorderError(f"{plot} ended with {recording.status}: {recording.stderr}")
    if not failing_sync:
        refused = [mark for mark in recording.stream.marks() if "refused" in mark]
        if recording.status or refused:
            raise RecorderError(f"{plot} went wrong: {refused} {recording.stderr}")
    return recording


def check_complete(stream: Stream, directory: Path) -> None:
    """Raises ValueError unless playing the stream back gives the files that are there."""
    filesystem = FileSystem()
    mapped: set[str] = set()
    for change in stream.changes:
        filesystem.apply(change)
        if change.kind is Kind.MAP:
            mapped.add(change.path)
    played = filesystem.cached()
    there = {str(path.relative_to(directory)): path for path in directory.rglob("*")}
    if played.keys() != there.keys():
        raise ValueError(f"the recorder missed names: {sorted(played.keys() ^ there.keys())}")
    for name, path in there.items():
        if name not in mapped and path.is_file() and path.read_bytes() != played[name]:
            raise ValueError(f"the recorder missed writes to {name}")


def progress_at(stream: Stream) -> list[Progress]:
    """Item p is what was sent and acknowledged at point p."""
    now = Progress()
    progress = [now]
    for number in range(len(stream.changes)):
        if stream.changes[number].kind is Kind.MARK:
            now = _after_mark(now, Stream(stream.changes[number : number + 1]))
        progress.append(now)
    return progress


def _after_mark(now: Progress, mark: Stream) -> Progress:
    (said,) = mark.marks()
    if said.get("sent", now.sent) != now.sent or said.get("acknowledged", now.acknowledged) != (
        now.acknowledged
    ):
        raise ValueError(f"{said} out of order: {now}")
    return Progress(now.sent + ("sent" in said), now.acknowledged + ("acknowledged" in said))


def judge_failed_sync(plot: Plot, number: int, scratch: Path) -> Report:
    """Let sync ``number`` of the plot fail, and judge both of what may be left: the pages that the
    sync should have written are in the cache and on the disk all the same, or they are not. The
    process must end, but for a snapshot file, which is then not used, and in its last moments."""
    recording = perform(plot, scratch, failing_sync=number)
    stream = recording.stream
    end = len(stream.changes)
    recipes = [Recipe(end, cut) for cut in (Cut.ALL, Cut.NOTHING)]
    recipes += [Recipe(end, cut, n) for cut in CHANCE for n in range(2)]
    report = judge_all(plot, stream, recipes, scratch)
    failed = next(n for n, change in enumerate(stream.changes) if change.flags & Flag.FAILED)
    went_on = sum("acknowledged" in mark for mark in Stream(stream.changes[failed:]).marks())
    allowed = SNAPSHOTS in stream.changes[failed].path
    if recording.status != EXIT_MEMBER_FAILED and went_on and not allowed:
        reason = f"sync {number} failed, and {went_on} requests were acknowledged after it"
        report.broken.append(Broken(Recipe(end, Cut.ALL), reason))
    return report


def images(stream: Stream, recipes: Sequence[Recipe]) -> Iterator[tuple[Recipe, Image]]:
    """Each recipe's image, in the order of the points: the stream is played once."""
    filesystem = FileSystem()
    at = 0
    for recipe in sorted(recipes, key=lambda r: r.point):
        while at < recipe.point:
            filesystem.apply(stream.changes[at])
            at += 1
        yield recipe, filesystem.after(choice_of(recipe, filesystem))


def judge_all(
    plot: Plot,
    stream: Stream,
    recipes: Sequence[Recipe],
    scratch: Path,
    *,
    broken_max: int = BROKEN_MAX,
    done: Callable[[Recipe], None] = lambda recipe: None,
) -> Report:
    """Build and judge every recipe's image; stops after ``broken_max`` broken ones."""
    requests = requests_of(draw_script(plot.seed, plot.requests, members=plot.members))
    progress = progress_at(stream)
    report, judged = Report(), set[bytes]()
    with Courtroom(requests, members=plot.members, scratch=scratch) as court:
        for recipe, image in images(stream, recipes):
            report.built[recipe.cut.value] += 1
            now = progress[recipe.point]
            fingerprint = _fingerprint(image, now)
            if fingerprint not in judged:
                judged.add(fingerprint)
                again = len(judged) % AGAIN_EVERY == 0
                reason = court.judge(
                    image, acknowledged=now.acknowledged, sent=now.sent, again=again
                )
                if reason is not None:
                    report.broken.append(Broken(recipe, reason))
            done(recipe)
            if len(report.broken) >= broken_max:
                break
    report.distinct = len(judged)
    return report


def _fingerprint(image: Image, progress: Progress) -> bytes:
    digest = hashlib.blake2b(repr(progress).encode(), digest_size=16)
    for path, content in image.items():
        digest.update(f"{path} {content is None} {len(content or b'')}".encode())
        digest.update(content or b"")
    return digest.digest()
