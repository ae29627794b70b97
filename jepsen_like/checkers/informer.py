"""List, then watch: the cache that a Kubernetes informer builds is the true state.

Owns: replaying each client's lists and watches into a cache, and comparing it at every bookmark
with what the whole history shows was there at that revision. A bookmark is the list's revision,
the last complete response's, and each progress notification's (etcd #15220: one that runs ahead of
the stream). Must never do: take an absence in a list as wrong if an unanswered delete explains it.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, field

from jepsen_like.checkers.verdict import Finding, Verdict, judge
from jepsen_like.history.history import History
from jepsen_like.history.operation import Operation, Watch, WatchResponse
from jepsen_like.history.parts import parts, possible
from jepsen_like.history.ranges import covers
from jepsen_like.history.request import Delete, Get, Put
from jepsen_like.history.result import Deleted, Found, KeyValue

BOOKMARKS_MIN = 20
_FINDINGS_MAX = 10

Object = tuple[int, str]  # mod_revision and value


@dataclass(slots=True)
class _Truth:
    """Of each key, what the history shows of it, by revision; None is a delete."""

    changes: dict[str, dict[int, str | None]] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)
    _revisions: dict[str, list[int]] = field(default_factory=dict)

    def saw(self, key: str, revision: int, value: str | None) -> None:
        known = self.changes.setdefault(key, {})
        if known.setdefault(revision, value) != value:
            reason = f"{key} was both {_said(known[revision])} and {_said(value)}"
            self.findings.append(Finding(f"{reason} at revision {revision}"))

    def at(self, key: str, revision: int) -> Object | None:
        if key not in self._revisions:
            self._revisions[key] = sorted(self.changes[key])
        revisions = self._revisions[key]
        place = bisect_right(revisions, revision)
        if not place:
            return None
        value = self.changes[key][revisions[place - 1]]
        return None if value is None else (revisions[place - 1], value)


@dataclass(slots=True)
class _Cache:
    """``doubtful``: keys that the list did not show and that a delete without answer may have
    removed before it; they are left alone until an event tells."""

    bookmark: int
    last_event: int
    objects: dict[str, Object]
    doubtful: set[str]

    def apply(self, response: WatchResponse) -> None:
        for event in response.events:
            self.last_event = event.kv.mod_revision
            self.doubtful.discard(event.kv.key)
            if event.is_delete:
                self.objects.pop(event.kv.key, None)
            else:
                self.objects[event.kv.key] = _object(event.kv)

    def difference(self, truth: _Truth) -> str:
        """In words; "" if there is none."""
        for key in sorted(truth.changes.keys() - self.doubtful):
            real, cached = truth.at(key, self.bookmark), self.objects.get(key)
            if real != cached:
                there = f"{real[1]} of revision {real[0]}" if real else "nothing"
                kept = f"{cached[1]} of revision {cached[0]}" if cached else "nothing"
                return f"at revision {self.bookmark} {key} is {there}, and the cache has {kept}"
        return ""


def check(
    history: History, key: str = "pods/", end: str = "pods0", minimum: int = BOOKMARKS_MIN
) -> Verdict:
    """``checked``: how often a cache was compared."""
    truth = _evidence(history, key, end)
    findings = list(truth.findings)
    compared = 0
    for process in sorted({operation.process for operation in history.operations}):
        informer = _Informer(history, process, key, end, truth)
        findings += informer.findings()
        compared += informer.compared
    return judge("informer", compared, "bookmarks", findings[:_FINDINGS_MAX], minimum=minimum)


class _Informer:
    """One process: its lists and watches in the order of time."""

    def __init__(self, history: History, process: int, key: str, end: str, truth: _Truth) -> None:
        self._truth = truth
        self._key, self._end = key, end
        self._watches = sorted(
            (w for w in history.watches if w.process == process and (w.key, w.end) == (key, end)),
            key=lambda watch: watch.opened_s,
        )
        self._process = process
        self._operations = [o for o in history.operations if o.process == process]
        self._unanswered = [o for o in history.unknown_writes if _may_delete(o, key, end)]
        self._cache: _Cache | None = None
        self._pages: list[KeyValue] = []
        self._listing_at = 0
        self.compared = 0

    def findings(self) -> Iterator[Finding]:
        moments: list[tuple[float, Operation | Watch]] = [
            *((operation.called_s, operation) for operation in self._operations),
            *((watch.opened_s, watch) for watch in self._watches),
        ]
        for _, step in sorted(moments, key=lambda moment: moment[0]):
            if isinstance(step, Watch):
                yield from self._watch(step)
            else:
                yield from self._page(step)

    def _page(self, operation: Operation) -> Iterator[Finding]:
        """A list's first page is at the newest revision; the next are at the first's."""
        get, found = operation.request, operation.outcome
        if not isinstance(get, Get) or not isinstance(found, Found) or get.end != self._end:
            return
        if get.serializable:
            return
        if get.revision == 0 and get.key == self._key:
            self._pages, self._listing_at = [], found.revision
        elif get.revision != self._listing_at or not self._continues(get.key):
            return
        self._pages.extend(found.kvs)
        if found.more:
            return
        objects = {kv.key: _object(kv) for kv in self._pages}
        doubtful = self._doubtful(operation) - objects.keys()
        self._cache = _Cache(self._listing_at, self._listing_at, objects, doubtful)
        yield from self._compare(self._cache, (operation,), "the list is wrong")

    def _continues(self, key: str) -> bool:
        return bool(self._pages) and key == self._pages[-1].key + "\0"

    def _watch(self, watch: Watch) -> Iterator[Finding]:
        """Only a watch that goes on where the cache stands."""
        cache = self._cache
        if cache is None or not cache.last_event < watch.start_revision <= cache.bookmark + 1:
            return
        for response in watch.responses:
            if response.canceled:
                return
            if response.created:
                continue
            cache.apply(response)
            if response.fragment:
                continue
            told = cache.last_event if response.events else response.revision
            cache.bookmark = max(cache.bookmark, told)
            where = f"after the watch from {watch.start_revision} at {response.at_s:.3f} s"
            for finding in self._compare(cache, (), where):
                self._cache = None
                yield finding
                return

    def _compare(
        self, cache: _Cache, operations: tuple[Operation, ...], where: str
    ) -> Iterator[Finding]:
        self.compared += 1
        if difference := cache.difference(self._truth):
            yield Finding(f"process {self._process}, {where}: {difference}", operations)

    def _doubtful(self, listed: Operation) -> set[str]:
        return {
            key
            for operation in self._unanswered
            if operation.called_s < listed.returned_s
            for op in possible(operation.request)
            if isinstance(op, Delete)
            for key in self._truth.changes
            if covers(op.key, op.end, key)
        }


def _evidence(history: History, key: str, end: str) -> _Truth:
    truth = _Truth()
    for operation in history.operations:
        for part in parts(operation):
            match part.op, part.result:
                case Put() as put, _ if covers(key, end, put.key):
                    truth.saw(put.key, part.revision, put.value)
                case Delete() as delete, Deleted() as deleted:
                    if deleted.count and not delete.end and covers(key, end, delete.key):
                        truth.saw(delete.key, part.revision, None)
                case Get(), Found() as found:
                    for kv in (kv for kv in found.kvs if covers(key, end, kv.key)):
                        truth.saw(kv.key, kv.mod_revision, kv.value)
    for watch in history.watches:
        for event in (event for response in watch.responses for event in response.events):
            if covers(key, end, event.kv.key):
                value = None if event.is_delete else event.kv.value
                truth.saw(event.kv.key, event.kv.mod_revision, value)
    return truth


def _may_delete(operation: Operation, key: str, end: str) -> bool:
    deletes = (op for op in possible(operation.request) if isinstance(op, Delete))
    return any(delete.end or covers(key, end, delete.key) for delete in deletes)


def _object(kv: KeyValue) -> Object:
    return kv.mod_revision, kv.value


def _said(value: str | None) -> str:
    return "deleted" if value is None else value
