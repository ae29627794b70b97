"""A result's document as tables: for a terminal, and in Markdown for the docs.

Owns: the tables of figures, of the plan and of the generators, and the sentence on how busy the
generators were. Must never do: show a figure that the document does not have.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from rich.table import Table

from benchmarks.plan import Plan
from benchmarks.result import Document


def plan_table(plan: Plan) -> Table:
    """What will run, by group."""
    result = Table(title="plan, on each program", title_justify="left")
    for title in ("group", "works", "rounds", "seconds"):
        result.add_column(title, justify="left" if title == "group" else "right")
    for group in plan.groups:
        members = [planned for planned in plan.works if planned.work.group == group]
        rounds = sorted({planned.rounds for planned in members})
        seconds = sum(planned.rounds * planned.seconds for planned in members)
        result.add_row(group, str(len(members)), " or ".join(map(str, rounds)), f"{seconds:,.0f}")
    return result


BEGIN_MARK, END_MARK = "<!-- figures -->", "<!-- end of figures -->"
BUSY_MAX = 0.9
"""Of one core: a generator above it may have been what was measured."""
GENERATOR_TITLES = ("generator", "unit", "with a bare responder", "busy", "one core could")


def generators_table(found: Sequence[dict[str, Any]]) -> Table:
    """What each generator did against the responder that answers ready bytes."""
    result = Table(title="generators, without a store", title_justify="left")
    for title in GENERATOR_TITLES:
        result.add_column(title, justify="left" if title in ("generator", "unit") else "right")
    for one in found:
        result.add_row(*_generator_cells(one))
    return result


def busiest(document: Document) -> str:
    """How busy the generator was at most, and which works it may have held up; empty for a
    document that does not say."""
    used = [
        (max(one["generator_busy"] for one in rounds), title, work)
        for title, works in document.get("facts", {}).items()
        for work, rounds in works.items()
        if all("generator_busy" in one for one in rounds)
    ]
    if not used:
        return ""
    share, title, work = max(used)
    told = f"load generator: at most {share:.0%} of one core ({work}, {title})"
    limited = sorted({work for share, _, work in used if share > BUSY_MAX})
    return f"{told}; above {BUSY_MAX:.0%}: {', '.join(limited)}" if limited else told


def table(document: Document) -> Table:
    """Medians of all rounds; a ratio above 1 says that the left one is ahead."""
    rows = document["rows"]
    others = other_titles(rows)
    result = Table(title=heading(document), title_justify="left")
    result.add_column("work")
    result.add_column("figure", no_wrap=True)
    titles = [*document["programs"], "ratio", "rounds", "target", *others]
    for title in titles:
        result.add_column(title, justify="right", no_wrap=True)
    previous = ""
    for row in rows:
        if previous and row["work"] != previous:
            result.add_section()
        ratio = f"{row['ratio']:.2f}x"
        if row["target"] is not None:
            ratio = f"[{'green' if row['ratio'] >= row['target'] else 'red'}]{ratio}[/]"
        result.add_row(row["work"] if row["work"] != previous else "", *_cells(row, ratio, others))
        previous = row["work"]
    return result


def markdown(document: Document) -> str:
    """The same for docs/benchmarks.md, and the generators; bold where a target is reached."""
    rows = document["rows"]
    others = other_titles(rows)
    titles = ["work", "figure", *document["programs"], "ratio", "rounds", "target", *others]
    lines = [_line(titles), _line(["---"] * len(titles))]
    previous = ""
    for row in rows:
        ratio = f"{row['ratio']:.2f}x"
        if row["target"] is not None and row["ratio"] >= row["target"]:
            ratio = f"**{ratio}**"
        work = row["work"] if row["work"] != previous else ""
        lines.append(_line([work, *_cells(row, ratio, others)]))
        previous = row["work"]
    if note := busiest(document):
        lines += ["", f"{note[0].upper()}{note[1:]}."]
    if found := document.get("generators"):
        lines += ["", _line(GENERATOR_TITLES), _line(["---"] * len(GENERATOR_TITLES))]
        lines += [_line(_generator_cells(one)) for one in found]
    return "\n".join(lines) + "\n"


def section(document: Document) -> str:
    """What docs/benchmarks.md says of a run: where it ran, the chart, the tables."""
    machine = document["machine"]
    about = [
        f"{document['date'][:10]}, commit {document['commit']}",
        f"{machine['cpus']} cores ({machine['processor']}), {machine['memory_gib']} GiB",
        f"load average before {machine['load_average']}",
        f"fdatasync of a small append {machine['fdatasync_ms']} ms",
        f"CPython {machine['python']}",
        *document["etcd"],
    ]
    told = (
        'Medians of alternating rounds; "rounds" has the lowest and the highest ratio and how many '
        "there were. In bold: at its target."
    )
    picture = "![raftkv beside etcd, work by work](benchmarks.svg)"
    return "\n\n".join(["; ".join(about) + ".", told, picture, markdown(document)])


def with_section(page: str, document: Document) -> str:
    """``page`` with this run between the two marks; raises ValueError where they are missing."""
    before, mark, rest = page.partition(BEGIN_MARK)
    _, end, after = rest.partition(END_MARK)
    if not (mark and end):
        raise ValueError(f"the page has no {BEGIN_MARK} and {END_MARK} to write between")
    return f"{before}{mark}\n{section(document)}{end}{after}"


def heading(document: Document) -> str:
    """When, how often, and whether it is all."""
    rounds = document["rounds"]
    plural = "s" if rounds > 1 else ""
    partial = ", a partial run" if document.get("partial") else ""
    return f"{document['date'][:10]}: medians of up to {rounds} alternating round{plural}{partial}"


def other_titles(rows: Sequence[dict[str, Any]]) -> list[str]:
    return list(dict.fromkeys(title for row in rows for title in row.get("others", {})))


def number(value: float) -> str:
    """Three significant digits, thousands grouped."""
    if value == 0 or not math.isfinite(value):
        return str(value)
    digits = max(0, 2 - math.floor(math.log10(abs(value))))
    return f"{value:,.{digits}f}"


def _cells(row: dict[str, Any], ratio: str, others: Sequence[str]) -> list[str]:
    rounds = row["ratio_rounds"]
    told = row.get("others", {})
    return [
        f"{row['figure']}, {row['unit']}",
        number(row["raftkv"]),
        number(row["etcd"]),
        ratio,
        f"{min(rounds):.2f}-{max(rounds):.2f} of {len(rounds)}" if rounds else "",
        "" if row["target"] is None else f">= {row['target']:g}x",
        *[number(told[title]["median"]) if title in told else "" for title in others],
    ]


def _generator_cells(one: dict[str, Any]) -> list[str]:
    return [
        one["generator"],
        one["unit"],
        number(one["with_responder"]),
        f"{one['busy']:.0%}",
        number(one["per_core"]),
    ]


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
