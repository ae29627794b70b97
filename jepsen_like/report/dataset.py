"""What the page's scripts draw, as columns of numbers and a table of texts.

Owns: the shape of the data that ``*.js`` reads: times are whole microseconds since the begin,
texts are numbers of rows in ``texts`` (a run says the same things often), and operations are in
order of their call. Must never do: hold markup; every value stays text until the browser shows it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from jepsen_like.checkers.verdict import Finding
from jepsen_like.history.history import History
from jepsen_like.history.operation import Fault, Operation, Watch, WatchResponse
from jepsen_like.report.clock import Clock
from jepsen_like.report.markup import JsonValue
from jepsen_like.report.series import chart_bins, series
from jepsen_like.report.wording import (
    Standing,
    outcome_words,
    request_words,
    response_words,
    standing,
    visible,
    watch_words,
)

WATCHES_MAX = 500
RESPONSES_MAX = 50_000

_STANDINGS = list(Standing)


class Texts:
    """Each text once."""

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}

    def number(self, text: str) -> int:
        return self._numbers.setdefault(text, len(self._numbers))

    def all(self) -> list[str]:
        return list(self._numbers)


def dataset(history: History, findings: Sequence[Finding], clock: Clock) -> dict[str, JsonValue]:
    """``findings`` are those that the page shows, in its order."""
    texts = Texts()
    operations = sorted(history.operations, key=lambda o: (o.called_s, o.returned_s))
    return {
        "span": clock.micros(clock.origin_s + clock.span_s),
        "operations": _operations(operations, clock, texts),
        "faults": _faults(history.faults, clock),
        "findings": [_places(finding, operations) for finding in findings],
        "watches": _watches(history.watches, clock, texts),
        "series": _series(operations, clock),
        "texts": texts.all(),
    }


def lanes(spans: Iterable[tuple[float, float]]) -> list[int]:
    """The first free lane for each span, so that what overlaps is drawn side by side. The spans
    come in order of their begin; one that only touches the last of a lane may follow it."""
    ends: list[float] = []
    chosen: list[int] = []
    for begin, end in spans:
        lane = next((i for i, last in enumerate(ends) if last <= begin), len(ends))
        ends[lane : lane + 1] = [max(end, begin)]
        chosen.append(lane)
    return chosen


def _operations(
    operations: Sequence[Operation], clock: Clock, texts: Texts
) -> dict[str, JsonValue]:
    processes = sorted({operation.process for operation in operations})
    row = {process: index for index, process in enumerate(processes)}
    return {
        "processes": processes,
        "row": [row[o.process] for o in operations],
        "begin": [clock.micros(o.called_s) for o in operations],
        "end": [clock.micros(o.returned_s) for o in operations],
        "standing": [_STANDINGS.index(standing(o.outcome)) for o in operations],
        "member": [texts.number(visible(o.member)) for o in operations],
        "request": [texts.number(request_words(o.request)) for o in operations],
        "outcome": [texts.number(outcome_words(o.outcome)) for o in operations],
    }


def _faults(faults: Sequence[Fault], clock: Clock) -> list[JsonValue]:
    """In order of their begin; faults of one name share a lane."""
    names: dict[str, int] = {}
    drawn: list[JsonValue] = []
    for fault in sorted(faults, key=lambda f: f.began_s):
        drawn.append(
            {
                "name": visible(fault.name),
                "what": visible(fault.what),
                "lane": names.setdefault(fault.name, len(names)),
                "begin": clock.micros(fault.began_s),
                "end": clock.micros(fault.ended_s),
            }
        )
    return drawn


def _places(finding: Finding, operations: Sequence[Operation]) -> list[int]:
    """Where the finding's operations are. A checker may show one that no client recorded."""
    called = {operation.called_s for operation in finding.operations}
    wanted = set(finding.operations)
    return [i for i, o in enumerate(operations) if o.called_s in called and o in wanted]


def _watches(watches: Sequence[Watch], clock: Clock, texts: Texts) -> list[JsonValue]:
    """One client's watches share a row as long as they do not overlap."""
    drawn: list[JsonValue] = []
    shown = sorted(watches, key=lambda w: (w.process, w.opened_s))[:WATCHES_MAX]
    left = RESPONSES_MAX
    for process in sorted({watch.process for watch in shown}):
        own = [watch for watch in shown if watch.process == process]
        places = lanes([(w.opened_s, w.closed_s) for w in own])
        for watch, lane in zip(own, places, strict=True):
            responses = watch.responses[:left]
            left -= len(responses)
            drawn.append(
                {
                    "process": process,
                    "lane": lane,
                    "words": texts.number(watch_words(watch)),
                    "member": texts.number(visible(watch.member)),
                    "begin": clock.micros(watch.opened_s),
                    "end": clock.micros(watch.closed_s),
                    "at": [clock.micros(response.at_s) for response in responses],
                    "kind": [response_kind(response) for response in responses],
                    "text": [texts.number(response_words(response)) for response in responses],
                }
            )
    return drawn


def response_kind(response: WatchResponse) -> str:
    """What the mark of a response tells apart."""
    if response.canceled:
        return "canceled"
    if response.created:
        return "created"
    return "events" if response.events else "progress"


def _series(operations: Sequence[Operation], clock: Clock) -> dict[str, JsonValue]:
    found = series(operations, clock.origin_s, clock.span_s, chart_bins(len(operations)))
    rates: dict[str, JsonValue] = {
        kind.value: [round(found.rate(i, kind), 3) for i in range(len(found.bins))]
        for kind in Standing
    }
    percentiles: dict[str, JsonValue] = {
        name: [
            None if (p := b.percentile_s(percent)) is None else round(p * 1e6) for b in found.bins
        ]
        for name, percent in (("p50", 50.0), ("p99", 99.0))
    }
    return {"width": round(found.width_s * 1e6), **rates, **percentiles}
