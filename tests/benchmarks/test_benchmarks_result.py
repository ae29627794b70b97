"""A contest with works that need no program: order, failures, JSON, tables, chart."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from io import StringIO
from pathlib import Path
from xml.etree import ElementTree

import pytest
from rich.console import Console

from benchmarks import chart, report, result
from benchmarks.contest import Contest, Contestant
from benchmarks.measurement import Better, Measurement, Metric, NotProven
from benchmarks.plan import Plan, Planned
from tests.e2e.cluster import Cluster
from tests.e2e.program import ROOT, Program

THROUGHPUT = Metric("throughput", "1/s", Better.HIGHER, 1.5)
P99 = Metric("p99", "ms", Better.LOWER, 1.0)
RAFTKV = Contestant("raftkv", Program(("raftkv",)))
ETCD = Contestant("etcd", Program(("true",)))
NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)


@dataclass
class ListedCluster:
    """Stands where a cluster would: it only knows whose it is."""

    program: Program


@dataclass
class KnownWork:
    """A work whose figures are known beforehand, by program; it keeps the order of its runs."""

    name: str
    figures: Mapping[str, tuple[float, float]]
    group: str = "put"
    runs: list[str] = field(default_factory=list)
    failing: Sequence[str] = ()

    def measure(self, cluster: Cluster) -> Measurement:
        title = "raftkv" if cluster.program is RAFTKV.program else "etcd"
        self.runs.append(title)
        if title in self.failing:
            raise NotProven("3 puts, but 2 new revisions")
        throughput, p99 = self.figures[title]
        return Measurement({THROUGHPUT: throughput, P99: p99}, {"requests": 3})


@dataclass(frozen=True)
class KnownGuest:
    """A third contestant with one figure."""

    title: str = "other"
    works: Sequence[str] = ("put",)
    seconds: float = 1.0
    rounds: int = 1

    def measure(self, directory: Path) -> Mapping[str, Measurement]:
        return {"put": Measurement({Metric("throughput", "1/s", Better.HIGHER): 5.0})}


@contextmanager
def listed(program: Program, directory: Path) -> Iterator[Cluster]:
    yield ListedCluster(program)  # type: ignore[misc]


def known(name: str = "put", **fields: object) -> KnownWork:
    return KnownWork(name, {"raftkv": (30, 2), "etcd": (10, 6)}, **fields)  # type: ignore[arg-type]


def contest_of(directory: Path, *works: KnownWork, rounds: int = 2) -> Contest:
    plan = Plan([Planned(work, rounds, 1.0) for work in works])
    return Contest(RAFTKV, ETCD, plan, directory, [KnownGuest()], cluster_of=listed)


def document_of(contest: Contest, *, partial: bool = False) -> result.Document:
    contest.run(lambda what, seconds: None, lambda: None)
    begun = result.begin(contest, NOW, seconds=1.0)
    return result.complete(begun, contest, partial=partial, took=3.0)


def test_programs_take_turns_at_going_first(tmp_path: Path) -> None:
    """Round 1 begins with raftkv, round 2 with etcd; works with fewer rounds sit later ones out."""
    work, rare = known(), known("rare")
    contest = contest_of(tmp_path, work)
    contest.plan = Plan([Planned(work, 2, 1.0), Planned(rare, 1, 1.0)])
    steps: list[tuple[str, float]] = []
    saved: list[int] = []
    contest.run(lambda what, seconds: steps.append((what, seconds)), lambda: saved.append(1))
    assert work.runs == ["raftkv", "etcd", "etcd", "raftkv"]
    assert rare.runs == ["raftkv", "etcd"]
    assert len(saved) == 2
    assert sum(seconds for _, seconds in steps) == contest.seconds


def test_json_has_every_round_and_what_proves_it(tmp_path: Path) -> None:
    """The document's rows, ratios of medians and of rounds, guests, facts; written and read."""
    document = document_of(contest_of(tmp_path, known()))
    path = tmp_path / "results" / "one.json"
    result.save(document, path)
    assert json.loads(path.read_text()) == document
    throughput, p99 = document["rows"]
    assert (throughput["work"], throughput["figure"], throughput["group"]) == (
        "put",
        "throughput",
        "put",
    )
    assert (throughput["ratio"], throughput["ratio_rounds"]) == (3.0, [3.0, 3.0])
    assert (p99["ratio"], p99["better"], p99["unit"]) == (3.0, "lower", "ms")
    assert throughput["others"] == {"other": {"median": 5.0, "rounds": [5.0]}}
    assert (document["partial"], document["failures"]) == (False, [])
    assert document["facts"]["raftkv"]["put"] == [{"requests": 3}, {"requests": 3}]
    assert document["machine"]["cpus"] >= 1
    assert list(path.parent.iterdir()) == [path]


def test_a_failing_work_does_not_lose_the_others(tmp_path: Path) -> None:
    """Its failures are told by program and round; the works before and after have their rows."""
    broken = known("broken", failing=["etcd"])
    contest = contest_of(tmp_path, known("before"), broken, known("after"))
    document = document_of(contest, partial=True)
    assert {row["work"] for row in document["rows"]} == {"before", "after"}
    assert [(one["program"], one["round"]) for one in document["failures"]] == [
        ("etcd", 1),
        ("etcd", 2),
    ]
    assert document["failures"][0]["error"] == "NotProven: 3 puts, but 2 new revisions"
    assert broken.runs == ["raftkv", "etcd", "etcd", "raftkv"]


def test_members_that_do_not_start_cost_their_round_only(tmp_path: Path) -> None:
    """A cluster that fails is a failure of the program in this round, and no end of the run."""

    @contextmanager
    def broken(program: Program, directory: Path) -> Iterator[Cluster]:
        if program is ETCD.program:
            raise OSError("no such program")
        with listed(program, directory) as cluster:
            yield cluster

    work = known()
    contest = contest_of(tmp_path, work)
    contest.cluster_of = broken
    document = document_of(contest, partial=True)
    assert (document["rows"], work.runs) == ([], ["raftkv", "raftkv"])
    assert [one["error"] for one in document["failures"]] == ["OSError: no such program"] * 2


def test_an_interrupted_run_keeps_what_it_has(tmp_path: Path) -> None:
    """Ctrl-C in the second round: the first one's figures are in the document."""
    work = known()
    contest = contest_of(tmp_path, work)

    def on_step(what: str, seconds: float) -> None:
        if what == "round 2: raftkv: put":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        contest.run(on_step, lambda: None)
    begun = result.begin(contest, NOW, seconds=1.0)
    document = result.complete(begun, contest, partial=True, took=1.0)
    assert document["partial"]
    assert document["rows"][0]["raftkv_rounds"] == [30]
    assert document["rows"][0]["etcd_rounds"] == [10, 10]
    assert document["rows"][0]["ratio_rounds"] == [3.0]


def test_tables_show_every_row_and_what_is_behind(tmp_path: Path) -> None:
    """The terminal's table and the Markdown one have the figures, ratios, targets and guests."""
    document = document_of(contest_of(tmp_path, known()), partial=True)
    shown_on = StringIO()
    console = Console(width=150, file=shown_on)
    console.print(report.table(document))
    shown = shown_on.getvalue()
    assert "a partial run" in shown
    assert "3.00x" in shown
    assert ">= 1.5x" in shown
    lines = report.markdown(document).splitlines()
    assert lines[0] == "| work | figure | raftkv | etcd | ratio | rounds | target | other |"
    assert lines[2] == (
        "| put | throughput, 1/s | 30.0 | 10.0 | **3.00x** | 3.00-3.00 of 2 | >= 1.5x | 5.00 |"
    )
    assert lines[3] == "|  | p99, ms | 2.00 | 6.00 | **3.00x** | 3.00-3.00 of 2 | >= 1x |  |"


def test_the_chart_is_a_picture_of_every_work(tmp_path: Path) -> None:
    """Well-formed SVG for light and dark; a bar to the right where raftkv is ahead, to the left
    where it is behind, and the names and figures as text."""
    behind = KnownWork("list <all>", {"raftkv": (10, 6), "etcd": (20, 3)}, group="list")
    document = document_of(contest_of(tmp_path, known(), behind))
    picture = chart.svg(document)
    root = ElementTree.fromstring(picture)
    space = "{http://www.w3.org/2000/svg}"
    style = root.find(f"{space}style")
    assert style is not None
    assert style.text is not None
    assert "prefers-color-scheme: dark" in style.text
    bars = {bar.get("class"): bar for bar in root.iter(f"{space}rect")}
    even = next(line for line in root.iter(f"{space}line") if line.get("class") == "even")
    assert bars["ahead"].get("x") == even.get("x1")
    assert float(bars["behind"].get("x", "0")) < float(even.get("x1", "0"))
    texts = [text.text for text in root.iter(f"{space}text")]
    assert "list <all>" in texts
    assert "30.0 / 10.0 1/s" in texts
    assert len(list(root.iter(f"{space}circle"))) == 2


def test_results_of_several_runs_become_one(tmp_path: Path) -> None:
    """Of the same work the later run's row is taken; the others are kept."""
    first = document_of(contest_of(tmp_path, known(), known("get")))
    later = document_of(contest_of(tmp_path, KnownWork("put", {"raftkv": (8, 1), "etcd": (4, 1)})))
    paths = [tmp_path / "first.json", tmp_path / "later.json"]
    for document, path in zip((first, later), paths, strict=True):
        result.save(document, path)
    ratios = {row["work"]: row["ratio"] for row in result.read(paths)["rows"]}
    assert ratios == {"put": 1.0, "get": 3.0}


def test_how_busy_the_generators_were_is_told(tmp_path: Path) -> None:
    """The most of all works and rounds; works above nine tenths of a core are named, since the
    generator may be what was measured. Runs without the fact say nothing."""
    facts = {"raftkv": {"put": [{"generator_busy": 0.3}, {"generator_busy": 0.5}]}, "etcd": {}}
    told = report.busiest({"facts": facts})
    assert told == "load generator: at most 50% of one core (put, raftkv)"
    facts["etcd"] = {"watch": [{"generator_busy": 0.95}], "failover": [{}]}
    assert report.busiest({"facts": facts}) == (
        "load generator: at most 95% of one core (watch, etcd); above 90%: watch"
    )
    assert report.busiest({"facts": {"raftkv": {"put": [{"requests": 3}]}}}) == ""
    document = document_of(contest_of(tmp_path, known()))
    assert "Load generator" not in report.markdown(document)
    document["facts"] = facts
    assert "; above 90%: watch." in report.markdown(document)
    assert "at most 95% of one core" in chart.svg(document)


def test_what_generators_could_drive_is_part_of_the_result(tmp_path: Path) -> None:
    """The check's figures follow the table, one line of each generator."""
    document = document_of(contest_of(tmp_path, known()))
    document["generators"] = [
        {
            "generator": "h2load, put, 1 client",
            "unit": "calls/s",
            "with_responder": 38_704.2,
            "busy": 0.54,
            "per_core": 71_685.0,
        }
    ]
    lines = report.markdown(document).splitlines()
    assert lines[-1] == "| h2load, put, 1 client | calls/s | 38,704 | 54% | 71,685 |"


def test_a_run_replaces_the_figures_of_the_page(tmp_path: Path) -> None:
    """What stands around the marks stays; a page without them is refused."""
    document = document_of(contest_of(tmp_path, known()))
    page = "above\n<!-- figures -->\nold figures\n<!-- end of figures -->\nbelow\n"
    written = report.with_section(page, document)
    assert written.startswith("above\n<!-- figures -->\n2026-11-21, commit ")
    assert written.endswith("<!-- end of figures -->\nbelow\n")
    assert "](benchmarks.svg)" in written
    assert "**3.00x**" in written
    assert "old figures" not in written
    assert report.with_section(written, document) == written
    with pytest.raises(ValueError, match="has no <!-- figures -->"):
        report.with_section("a page", document)


def test_the_page_has_its_marks() -> None:
    """The real one, so that a run of a quarter of an hour does not end in an error."""
    page = (ROOT / "docs" / "benchmarks.md").read_text()
    assert page.count(report.BEGIN_MARK) == page.count(report.END_MARK) == 1
