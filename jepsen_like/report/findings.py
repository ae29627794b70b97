"""Each finding: the reason in words and its operations, large, in the order that shows it.

Owns: the section of findings. Every operation has a row of its own with its words beside its
bar, so that labels never overlap and the drawing reads as a list. Must never do: hide that
something was left out.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from jepsen_like.checkers.verdict import Finding, Verdict
from jepsen_like.history.operation import Fault, Operation
from jepsen_like.report.clock import Clock
from jepsen_like.report.excerpt import Axis, axis
from jepsen_like.report.markup import Html, joined, tag
from jepsen_like.report.summary import reason_words, shown_findings
from jepsen_like.report.wording import (
    Standing,
    counted,
    duration,
    outcome_words,
    request_words,
    standing,
    visible,
)

OPERATIONS_SHOWN_MAX = 60
FAULTS_NAMED_MAX = 6
GUIDES_MAX = 24

_NOTHING = "linear-gradient(transparent,transparent)"


def findings_section(verdicts: Sequence[Verdict], faults: Sequence[Fault], clock: Clock) -> Html:
    """Empty when no checker found anything."""
    shown = shown_findings(verdicts)
    if not shown:
        return Html("")
    total = sum(len(verdict.findings) for verdict in verdicts)
    heading = tag("h2", f"Findings ({total:,})", id="findings-title")
    hidden = total - len(shown)
    note = (
        tag("p", f"{counted(hidden, 'finding')} more are not drawn here.") if hidden else Html("")
    )
    articles = joined(
        _article(number, verdict, finding, faults, clock)
        for number, (verdict, finding) in enumerate(shown, 1)
    )
    return tag("section", heading, articles, note, aria_labelledby="findings-title")


def _article(
    number: int, verdict: Verdict, finding: Finding, faults: Sequence[Fault], clock: Clock
) -> Html:
    name = f"finding-{number}"
    heading = tag("h3", f"{number}. {visible(verdict.checker)}", id=f"{name}-title")
    reason = tag("p", reason_words(finding), class_="reason")
    if not finding.operations:
        body = tag("p", "The checker shows no operations for this.", class_="note")
    else:
        body = _drawing(number, finding, faults, clock)
    return tag(
        "article", heading, reason, body, class_="finding", id=name,
        aria_labelledby=f"{name}-title", tabindex=-1,
    )  # fmt: skip


def _drawing(number: int, finding: Finding, faults: Sequence[Fault], clock: Clock) -> Html:
    ordered = sorted(finding.operations, key=lambda o: (o.called_s, o.returned_s))
    shown = ordered[:OPERATIONS_SHOWN_MAX]
    scale = axis(shown)
    began_s, ended_s = shown[0].called_s, max(o.returned_s for o in shown)
    broken = [f for f in faults if f.began_s <= ended_s and f.ended_s >= began_s]
    rows = [_interval(operation, scale, clock) for operation in shown]
    style = f"--guides:{_guides(scale)};--bands:{_bands(broken, scale)}"
    parts = [
        _place(number, began_s, ended_s, clock),
        tag("ol", *rows, class_="intervals", style=style),
        tag("p", _caption(scale, len(ordered) - len(shown), broken), class_="note"),
    ]
    return joined(parts)


def _place(number: int, began_s: float, ended_s: float, clock: Clock) -> Html:
    """Where in the whole run: in words, as a mark on a strip, and as a way to the timeline."""
    span = clock.span_s or 1.0
    left = 100 * clock.second(began_s) / span
    width = 100 * (clock.second(ended_s) - clock.second(began_s)) / span
    mark = tag("span", style=f"left:{left:.3f}%;width:{width:.3f}%")
    words = (
        f"{clock.words(began_s)} to {clock.words(ended_s)} ({duration(ended_s - began_s)})"
        f" of {clock.span_s:.3f} s"
    )
    button = tag(
        "button", "Show in the timeline", type="button", data_finding=number - 1,
        aria_label=f"Show finding {number} in the timeline",
    )  # fmt: skip
    strip = tag("div", mark, class_="strip", aria_hidden="true")
    return tag("div", tag("p", words), strip, button, class_="place")


def _interval(operation: Operation, scale: Axis, clock: Clock) -> Html:
    kind = standing(operation.outcome)
    left = scale.percent(operation.called_s)
    # What was never answered may still happen later: its bar stays open to the right.
    right = 100.0 if kind is Standing.UNKNOWN else scale.percent(operation.returned_s)
    bar = tag(
        "span", class_=f"bar {kind.value}", style=f"left:{left:.3f}%;width:{right - left:.3f}%"
    )
    gave_up = tag(
        "span", class_="gave-up", style=f"left:{scale.percent(operation.returned_s):.3f}%"
    )
    times = (
        f"{clock.words(operation.called_s)} to {clock.words(operation.returned_s)},"
        f" {duration(operation.returned_s - operation.called_s)}"
    )
    who = f"client {operation.process} → {visible(operation.member)}, {times}"
    words = tag(
        "div",
        tag("span", who, class_="who"),
        tag("span", request_words(operation.request), class_="request"),
        tag("span", outcome_words(operation.outcome), class_=f"outcome {kind.value}"),
        class_="words",
    )
    marks = joined([bar, gave_up]) if kind is Standing.UNKNOWN else bar
    return tag("li", words, tag("div", marks, class_="track", aria_hidden="true"))


def _caption(scale: Axis, hidden: int, broken: Sequence[Fault]) -> str:
    order = (
        "Lengths are to scale." if scale.to_scale else "Order is exact; long gaps are shortened."
    )
    names = [visible(f"{f.name} ({f.what})" if f.what else f.name) for f in broken]
    more = ", …" if len(names) > FAULTS_NAMED_MAX else ""
    during = f" Meanwhile: {', '.join(names[:FAULTS_NAMED_MAX])}{more}." if names else ""
    left_out = f" {counted(hidden, 'operation')} more are not drawn." if hidden else ""
    return f"{order}{during}{left_out}"


def _guides(scale: Axis) -> str:
    """Thin lines at every begin and end, through all rows: what is left of what is seen there.
    So many that they are a pattern of their own show nothing."""
    if len(scale.percents) > GUIDES_MAX:
        return _NOTHING
    line = "linear-gradient(var(--guide),var(--guide))"
    return ",".join(f"{line} {p:.3f}% 0/1px 100% no-repeat" for p in scale.percents)


def merged(spans: Iterable[tuple[float, float]]) -> list[tuple[float, float]]:
    """The same stretches of time without overlaps, in order."""
    whole: list[tuple[float, float]] = []
    for began_s, ended_s in sorted(spans):
        if whole and began_s <= whole[-1][1]:
            whole[-1] = (whole[-1][0], max(whole[-1][1], ended_s))
        else:
            whole.append((began_s, ended_s))
    return whole


def _bands(broken: Sequence[Fault], scale: Axis) -> str:
    """Overlapping faults give one band, not a darker one that would mean nothing."""
    layers = []
    for began_s, ended_s in merged((fault.began_s, fault.ended_s) for fault in broken):
        left, right = scale.percent(began_s), scale.percent(ended_s)
        width = min(right - left, 99.9)
        # CSS places a layer by the share of the room that is left beside it.
        position = 100 * left / (100 - width)
        layers.append(
            "linear-gradient(var(--band),var(--band))"
            f" {min(position, 100):.3f}% 0/{width:.3f}% 100% no-repeat"
        )
    return ",".join(layers) or _NOTHING
