"""What the drawings show, once more as tables: for screen readers, for searching, for copying.

Owns: the tables of members, faults, watches, rates and latencies. Must never do: show what no
drawing or heading announces.
"""

from __future__ import annotations

from collections.abc import Sequence

from jepsen_like.history.history import History
from jepsen_like.history.operation import Fault, MemberState, Watch
from jepsen_like.report.clock import Clock
from jepsen_like.report.dataset import WATCHES_MAX
from jepsen_like.report.markup import Html, joined, table, tag
from jepsen_like.report.series import TABLE_BINS_MAX, series
from jepsen_like.report.wording import Standing, duration, key_range, visible

FAULTS_MAX = 500


def members_section(finals: Sequence[MemberState]) -> Html:
    heading = tag("h2", "Members at the end", id="members-title")
    if not finals:
        note = tag("p", "No member's hash was recorded.", class_="note")
        return tag("section", heading, note, aria_labelledby="members-title")
    rows = [
        (
            visible(state.member),
            f"{state.revision:,}",
            f"{state.compact_revision:,}",
            f"{state.hash & 0xFFFFFFFF:08x}",
        )
        for state in finals
    ]
    words, agree = agreement(finals)
    note = tag("p", words, class_="note" if agree else "note bad")
    listed = table("HashKV of each member", ("Member", "Revision", "Compacted at", "Hash"), rows)
    return tag("section", heading, note, listed, aria_labelledby="members-title")


def agreement(finals: Sequence[MemberState]) -> tuple[str, bool]:
    """Hashes say something only of equal revisions."""
    if len(finals) == 1:
        return "Only one member was asked, so there is nothing to compare.", True
    if len({(s.revision, s.compact_revision) for s in finals}) > 1:
        return "The members were asked at different revisions: their hashes cannot agree.", False
    if len({s.hash for s in finals}) > 1:
        return "The members hold different data: their hashes differ.", False
    return f"All {len(finals)} members hold the same data.", True


def faults_table(faults: Sequence[Fault], clock: Clock) -> Html:
    if not faults:
        return Html("")
    ordered = sorted(faults, key=lambda f: f.began_s)
    rows = [
        (
            visible(fault.name),
            clock.words(fault.began_s),
            clock.words(fault.ended_s),
            duration(clock.second(fault.ended_s) - clock.second(fault.began_s)),
            visible(fault.what),
        )
        for fault in ordered[:FAULTS_MAX]
    ]
    name = f"Faults ({len(faults):,})"
    caption = name if len(faults) <= FAULTS_MAX else f"{name}, the first {FAULTS_MAX}"
    return folded(name, table(caption, ("Fault", "From", "To", "Lasted", "What"), rows))


def rates_table(history: History, clock: Clock) -> Html:
    found = series(history.operations, clock.origin_s, clock.span_s, TABLE_BINS_MAX)
    rows = [
        (
            f"{place.begin_s:g} s",
            *(f"{found.rate(index, kind):,.1f}" for kind in Standing),
            *(_latency(place.percentile_s(percent)) for percent in (50, 99, 100)),
        )
        for index, place in enumerate(found.bins)
    ]
    head = ("From", *(f"{kind.value}/s" for kind in Standing), "p50", "p99", "Slowest")
    caption = f"Rates and latencies of answered calls, in steps of {found.width_s:g} s"
    return folded("Rates and latencies as a table", table(caption, head, rows))


def watches_table(watches: Sequence[Watch], clock: Clock) -> Html:
    ordered = sorted(watches, key=lambda w: (w.process, w.opened_s))
    rows = [_watch_row(watch, clock) for watch in ordered[:WATCHES_MAX]]
    head = ("Client", "Member", "Range", "From revision", "Opened", "Closed", "Responses", "Events",
            "Last revision", "End")  # fmt: skip
    name = f"Watches as a table ({len(watches):,})"
    more = f", the first {WATCHES_MAX}" if len(watches) > WATCHES_MAX else ""
    return folded(name, table(f"Streams, by client{more}", head, rows))


def _watch_row(watch: Watch, clock: Clock) -> tuple[str, ...]:
    events = sum(len(response.events) for response in watch.responses)
    canceled = next((r for r in watch.responses if r.canceled), None)
    end = "closed"
    if canceled:
        at = canceled.compact_revision
        end = f"canceled, compacted at {at}" if at else "canceled"
    return (
        str(watch.process),
        visible(watch.member),
        key_range(watch.key, watch.end),
        f"{watch.start_revision:,}" if watch.start_revision else "now",
        clock.words(watch.opened_s),
        clock.words(watch.closed_s),
        f"{len(watch.responses):,}",
        f"{events:,}",
        f"{watch.responses[-1].revision:,}" if watch.responses else "none",
        end,
    )


def folded(name: str, *content: Html) -> Html:
    return tag("details", tag("summary", name), joined(content))


def _latency(value: float | None) -> str:
    return "none" if value is None else duration(value)
