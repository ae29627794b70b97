"""One watch, response by response, against what really happened.

Owns: Truth, the events and compactions of a history, and Watched, the state of one judged watch.
Must never do: take the header of a response with events for a promise: etcd sends the newest
revision there while older events still wait. Only a progress notification says "all up to here".
"""

from __future__ import annotations

from jepsen_like.checkers.evidence import NEVER
from jepsen_like.checkers.replaying import Replay
from jepsen_like.checkers.verdict import Finding
from jepsen_like.history.history import History
from jepsen_like.history.operation import Event, Operation, Watch, WatchResponse
from jepsen_like.history.request import Compact
from jepsen_like.history.result import Compacted, KeyValue, Refused
from jepsen_like.model.keyspace import covers

SILENCE_S = 1.0  # a healthy member sends what it has long before
CALM_S = 1.0  # no fault so shortly before, or silence proves nothing


class Truth:
    """``certain(revision)``: its events are known for sure."""

    def __init__(self, history: History, replayed: Replay) -> None:
        self.replay = replayed
        self.compactions = [
            o for o in history.requests(Compact) if not isinstance(o.outcome, Refused)
        ]
        self._faults = history.faults
        self._events_of: dict[tuple[str, str], list[int]] = {}

    @property
    def last(self) -> int:
        return self.replay.revision

    def known(self, revision: int) -> bool:
        return revision <= self.last and revision not in self.replay.unexplained

    def certain(self, revision: int) -> bool:
        return self.known(revision) and revision not in self.replay.guessed

    def events(self, watch: Watch, revision: int) -> list[Event]:
        return [e for e in self.replay.events(revision) if covers(watch.key, watch.end, e.kv.key)]

    def revisions(self, watch: Watch) -> list[int]:
        """Those with events for this watch, in order; kept for the next watch of the range."""
        found = self._events_of.get((watch.key, watch.end))
        if found is None:
            found = [r for r in range(self.last + 1) if self.events(watch, r)]
            self._events_of[watch.key, watch.end] = found
        return found

    def called_s(self, revision: int) -> float:
        """Before this ``revision`` cannot have been."""
        writer = self.replay.writers.get(revision)
        return writer.called_s if writer else -NEVER

    def writer(self, revision: int) -> tuple[Operation, ...]:
        return self.replay.writer(revision)

    def asked_to_compact(self, revision: int, before_s: float) -> bool:
        """Whether ``revision`` itself may have been what was compacted."""
        return any(_compacts(o) == revision and o.called_s < before_s for o in self.compactions)

    def compacted(self, revision: int, before_s: float) -> bool:
        """Whether a read of ``revision`` may have been refused by then."""
        return any(_compacts(o) > revision and o.called_s < before_s for o in self.compactions)

    def compacting(self, revision: int, before_s: float) -> Operation | None:
        """An answered compaction past ``revision``, that had returned."""
        for operation in self.compactions:
            if (
                isinstance(operation.outcome, Compacted)
                and _compacts(operation) > revision
                and operation.returned_s < before_s
            ):
                return operation
        return None

    def calm(self, watch: Watch) -> bool:
        return not any(
            fault.began_s < watch.closed_s and fault.ended_s > watch.opened_s - CALM_S
            for fault in self._faults
        )


class Watched:
    """``judge`` once; then ``findings``."""

    def __init__(self, watch: Watch, truth: Truth) -> None:
        self.findings: list[Finding] = []
        self._watch = watch
        self._truth = truth
        self._start = watch.start_revision
        self._last = 0  # the newest revision that was delivered
        self._last_is_open = False  # its response was a fragment, more may follow
        self._bookmark = 0
        self._seen: set[tuple[int, str, bool]] = set()
        self._delivered: set[tuple[int, str]] = set()
        self._canceled = False

    def judge(self) -> None:
        for response in self._watch.responses:
            if self._canceled:
                self._find("it went on after it was canceled")
            if response.created and not self._start:
                self._start = response.revision + 1
            if response.events:
                self._events(response)
            elif response.canceled:
                self._canceled = True
                if response.compact_revision:
                    self._canceled_by_compaction(response)
            elif not response.created:
                self._progress(response)
        if self._start:
            self._missing()
            self._silence()

    # --- what was delivered -----------------------------------------------------------------------

    def _events(self, response: WatchResponse) -> None:
        first = response.events[0].kv.mod_revision
        if first == self._last and not self._last_is_open:
            self._find(f"atomic: the events of revision {first} came in two responses", first)
        for event in response.events:
            self._event(event, response)
        self._last_is_open = response.fragment

    def _event(self, event: Event, response: WatchResponse) -> None:
        kv = event.kv
        revision = kv.mod_revision
        mark = (revision, kv.key, event.is_delete)
        if not covers(self._watch.key, self._watch.end, kv.key):
            self._find(f"filtered: {kv.key!r} is not in its range", revision)
        if mark in self._seen:
            self._find(f"unique: {kv.key!r} of revision {revision} came twice", revision)
        elif revision < self._last:
            self._find(f"ordered: revision {revision} came after {self._last}", revision)
        elif revision <= self._bookmark:
            self._find(
                f"bookmarkable: {kv.key!r} of revision {revision} came after the progress "
                f"notification of revision {self._bookmark}",
                revision,
            )
        if revision < self._start:
            self._find(
                f"resumable: revision {revision} is before its start {self._start}", revision
            )
        if revision > response.revision:
            self._find(f"revision {revision} came in a response of revision {response.revision}")
        if response.at_s < self._truth.called_s(revision):
            self._find(f"revision {revision} came before its write was called", revision)
        self._seen.add(mark)
        self._delivered.add((revision, kv.key))
        self._last = max(self._last, revision)
        self._content(event, response)

    def _content(self, event: Event, response: WatchResponse) -> None:
        revision = event.kv.mod_revision
        if not self._truth.known(revision):
            return
        true = [
            e
            for e in self._truth.replay.events(revision)
            if e.kv.key == event.kv.key and e.is_delete == event.is_delete
        ]
        name = f"{event.kv.key!r} of revision {revision}"
        if not true:
            kind = "deleted" if event.is_delete else "put"
            self._find(f"{name} was not {kind} by anybody", revision)
            return
        right = true[-1]
        if not event.is_delete and _is_create(event.kv) != _is_create(right.kv):
            self._find(
                f"is-create: {name} says {_words(event.kv)}, is {_words(right.kv)}", revision
            )
        elif event.kv != right.kv and not (event.is_delete and _same_tombstone(event.kv, right.kv)):
            self._find(f"{name} is {right.kv}, not {event.kv}", revision)
        self._prev(event, right, response)

    def _prev(self, event: Event, right: Event, response: WatchResponse) -> None:
        revision = event.kv.mod_revision
        expected = right.prev if self._watch.prev_kv else None
        if event.prev == expected:
            return
        if event.prev is None and self._truth.compacted(revision - 1, response.at_s):
            return  # etcd leaves out what was compacted meanwhile
        self._find(
            f"prev-kv: {event.kv.key!r} of revision {revision} was {expected}, not {event.prev}",
            revision,
            expected.mod_revision if expected else 0,
        )

    def _progress(self, response: WatchResponse) -> None:
        revision = response.revision
        if revision < self._bookmark:
            self._find(f"bookmarkable: progress went back from {self._bookmark} to {revision}")
        if self._start and revision < self._start - 1:
            self._find(
                f"future revision: progress at {revision}, though the watch starts at {self._start}"
            )
        if response.at_s < self._truth.called_s(revision):
            self._find(f"progress at {revision} came before its write was called", revision)
        self._bookmark = max(self._bookmark, revision)

    # --- what was not -----------------------------------------------------------------------------

    def _missing(self) -> None:
        """Reliable, and atomic: nothing between the start and the newest known is left out."""
        for revision in self._truth.revisions(self._watch):
            if revision < self._start or not self._truth.certain(revision):
                continue
            if revision > max(self._last, self._bookmark):
                break
            if revision == self._last and self._last_is_open and revision > self._bookmark:
                continue
            keys = {event.kv.key for event in self._truth.events(self._watch, revision)}
            lost = sorted(key for key in keys if (revision, key) not in self._delivered)
            if lost:
                self._find(self._loss(revision, lost, len(lost) < len(keys)), revision)
                return

    def _loss(self, revision: int, lost: list[str], partly: bool) -> str:
        names = ", ".join(repr(key) for key in lost)
        if partly:
            return f"atomic: of revision {revision}, {names} did not come"
        if revision > self._last:
            return (
                f"bookmarkable: {names} of revision {revision} did not come, but a progress "
                f"notification of revision {self._bookmark}"
            )
        return f"reliable: {names} of revision {revision} did not come, but revision {self._last}"

    def _silence(self) -> None:
        """Nothing came at all, though the member had events from the start on when it began."""
        created = [r for r in self._watch.responses if r.created]
        if not created or self._last or self._bookmark or self._canceled:
            return
        first = created[0]
        if self._watch.closed_s - first.at_s < SILENCE_S or not self._truth.calm(self._watch):
            return
        due = [
            revision
            for revision in self._truth.revisions(self._watch)
            if self._start <= revision <= first.revision and self._truth.certain(revision)
        ]
        if due:
            by = self._truth.compacting(self._start, self._watch.opened_s)
            why = f"; {_compacts(by)} had been compacted, so it had to be canceled" if by else ""
            self._find(f"reliable: silent, though revision {due[0]} was due{why}", due[0])

    def _canceled_by_compaction(self, response: WatchResponse) -> None:
        following = max(self._start, self._last + 1, self._bookmark + 1)
        compacted = response.compact_revision
        if self._start and following >= compacted:
            self._find(
                f"compaction: canceled at compact revision {compacted}, though its next "
                f"revision was {following}"
            )
        if not self._truth.asked_to_compact(compacted, response.at_s):
            self._find(f"compaction: canceled at {compacted}, which nobody had compacted")

    def _find(self, reason: str, *revisions: int) -> None:
        watch = self._watch
        over = repr(watch.key) + (f"..{watch.end!r}" if watch.end else "")
        start = f" from revision {self._start}" if self._start else ""
        writers = [o for revision in revisions for o in self._truth.writer(revision)]
        self.findings.append(
            Finding(
                f"watch of client {watch.process} on {over}{start}: {reason}",
                tuple(dict.fromkeys(writers)),
            )
        )


def _compacts(operation: Operation) -> int:
    assert isinstance(operation.request, Compact)
    return operation.request.revision


def _is_create(kv: KeyValue) -> bool:
    return kv.create_revision == kv.mod_revision


def _words(kv: KeyValue) -> str:
    return "created" if _is_create(kv) else "changed"


def _same_tombstone(a: KeyValue, b: KeyValue) -> bool:
    """Only key and revision of a deleted key mean something."""
    return (a.key, a.mod_revision) == (b.key, b.mod_revision)
