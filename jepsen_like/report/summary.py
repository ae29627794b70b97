"""The head of the page: what was judged and how, and what the run was.

Owns: the verdicts, settings and totals in words and tables. Must never do: soften. Unknown is
said as plainly as invalid, and a run without any verdict is unknown.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from jepsen_like.checkers.verdict import Finding, Validity, Verdict, overall
from jepsen_like.history.history import History
from jepsen_like.report.clock import Clock
from jepsen_like.report.markup import Html, joined, table, tag
from jepsen_like.report.wording import Standing, clipped, counted, standing, visible

FINDINGS_SHOWN_MAX = 30
REASONS_SHOWN_MAX = 3
REASON_CHARS_MAX = 1500

_TITLE_SETTINGS = ("workload", "nemesis", "db", "seed")


def shown_findings(verdicts: Sequence[Verdict]) -> list[tuple[Verdict, Finding]]:
    """Those that get a drawing: the first of every checker before the second of any."""
    ranked = [
        (rank, place, verdict, finding)
        for place, verdict in enumerate(verdicts)
        for rank, finding in enumerate(verdict.findings)
    ]
    chosen = sorted(ranked, key=lambda r: (r[0], r[1]))[:FINDINGS_SHOWN_MAX]
    return [(verdict, finding) for _, _, verdict, finding in sorted(chosen, key=_by_checker)]


def _by_checker(ranked: tuple[int, int, Verdict, Finding]) -> tuple[int, int]:
    return ranked[1], ranked[0]


def reason_words(finding: Finding) -> str:
    """Its line breaks stay; everything else that does not print is made visible."""
    lines = clipped(finding.reason, REASON_CHARS_MAX).splitlines()
    return "\n".join(visible(line) for line in lines)


def title(history: History) -> str:
    named = [f"{key} {history.settings[key]}" for key in _TITLE_SETTINGS if key in history.settings]
    return visible(", ".join(named)) or "A run without settings"


def verdict_words(verdicts: Sequence[Verdict]) -> str:
    """The whole in one sentence."""
    if not verdicts:
        return "No checker judged this run, so nothing is proven."
    found = Counter(verdict.validity for verdict in verdicts)
    invalid, unknown = found[Validity.INVALID], found[Validity.UNKNOWN]
    total = counted(len(verdicts), "checker")
    if invalid:
        also = f"; {unknown} could not decide" if unknown else ""
        return f"{invalid} of {total} found a violation{also}."
    if unknown:
        return f"{unknown} of {total} could not decide, so the run proves nothing about them."
    judged = "The one checker" if len(verdicts) == 1 else f"All {total}"
    return f"{judged} found no violation."


def head(history: History, verdicts: Sequence[Verdict], clock: Clock) -> Html:
    validity = overall(verdicts)
    badge = tag("strong", validity.value, class_=f"badge {validity.value}")
    sentence = tag("p", badge, " ", verdict_words(verdicts), class_="overall")
    lists = tag(
        "div",
        _definitions("Settings", [(k, str(v)) for k, v in history.settings.items()]),
        _definitions("Totals", list(_totals(history, clock))),
        class_="lists",
    )
    return joined([tag("h1", title(history)), sentence, _verdict_table(verdicts), lists])


def _verdict_table(verdicts: Sequence[Verdict]) -> Html:
    if not verdicts:
        return Html("")
    numbers = {id(finding): n for n, (_, finding) in enumerate(shown_findings(verdicts), 1)}
    rows = [
        (
            visible(verdict.checker),
            tag("span", verdict.validity.value, class_=f"badge {verdict.validity.value}"),
            f"{verdict.checked:,} {visible(verdict.unit)}",
            _reasons(verdict, numbers),
        )
        for verdict in verdicts
    ]
    return table("Verdicts", ("Checker", "Verdict", "Checked", "Why"), rows, class_="verdicts")


def _reasons(verdict: Verdict, numbers: dict[int, int]) -> Html:
    if not verdict.findings:
        return tag("p", _without_findings(verdict))
    parts = []
    for finding in verdict.findings[:REASONS_SHOWN_MAX]:
        reason = clipped(reason_words(finding), 200)
        number = numbers.get(id(finding))
        link = tag("a", reason, href=f"#finding-{number}") if number else Html("")
        parts.append(tag("p", link if number else reason))
    more = len(verdict.findings) - REASONS_SHOWN_MAX
    if more > 0:
        parts.append(tag("p", f"and {counted(more, 'finding')} more"))
    return joined(parts)


def _without_findings(verdict: Verdict) -> str:
    match verdict.validity:
        case Validity.VALID:
            return "no violation"
        case Validity.UNKNOWN:
            return "too little was judged, or the budget ran out: this proves nothing"
        case Validity.INVALID:
            return "the checker gave no reason"


def _totals(history: History, clock: Clock) -> Iterator[tuple[str, str]]:
    found = Counter(standing(operation.outcome) for operation in history.operations)
    total = len(history.operations)
    yield "operations", f"{total:,}"
    for kind in Standing:
        share = f" ({100 * found[kind] / total:.1f} %)" if total else ""
        yield kind.value, f"{found[kind]:,}{share}"
    yield "clients", f"{len({operation.process for operation in history.operations}):,}"
    yield "faults", f"{len(history.faults):,}"
    if history.watches:
        responses = sum(len(watch.responses) for watch in history.watches)
        yield "watches", f"{len(history.watches):,} with {responses:,} responses"
    yield "duration", f"{clock.span_s:.3f} s"
    if total and clock.span_s > 0:
        yield "rate", f"{total / clock.span_s:,.1f} operations a second"
    if clock.origin_s != 0:
        yield "time 0 is", f"{clock.origin_s:.6f} s in the history file"


def _definitions(name: str, pairs: Sequence[tuple[str, str]]) -> Html:
    if not pairs:
        pairs = [("none", "")]
    rows = (tag("div", tag("dt", visible(k)), tag("dd", visible(v))) for k, v in pairs)
    return tag("section", tag("h2", name), tag("dl", *rows), aria_label=name)
