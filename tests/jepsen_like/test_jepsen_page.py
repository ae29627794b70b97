"""The report in a real browser: it draws what it was given, without an error, by keyboard too."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest

from jepsen_like.checkers.verdict import Finding, Validity, Verdict
from jepsen_like.history.history import History
from jepsen_like.history.operation import Fault, Operation
from jepsen_like.history.request import Put
from jepsen_like.history.result import Written
from jepsen_like.report.page import write
from tests.browser import Browser
from tests.jepsen_like.made_up_history import made_up_history, made_up_verdicts

pytestmark = pytest.mark.slow

CANVAS = "document.getElementById('timeline-canvas')"
READOUT = "document.getElementById('readout').textContent"
WINDOW = "document.getElementById('window-words').textContent"


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with Browser(tmp_path_factory.mktemp("profile")) as running:
        yield running


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, History]:
    """Five clients, five faults, a violation."""
    history = made_up_history(Random(1))
    verdicts = made_up_verdicts(history)
    path = tmp_path_factory.mktemp("report") / "report.html"
    write(history, verdicts, path)
    return path, history


def _errors(browser: Browser) -> str | None:
    found: str | None = browser.evaluate("root.dataset.errors")
    return found


@pytest.mark.parametrize("width", [1280, 400])
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_the_page_draws_all_of_the_run(
    browser: Browser, run: tuple[Path, History], width: int, dark: bool
) -> None:
    """Every call, response and finding is there, nothing went wrong, and no part of the page is
    wider than the window."""
    path, history = run
    browser.resize(width, 900)
    browser.dark(dark)
    browser.open(path)
    assert _errors(browser) is None
    assert browser.evaluate(f"{CANVAS}.dataset.calls") == str(len(history.operations))
    assert int(browser.evaluate(f"{CANVAS}.dataset.marks")) > 400
    responses = sum(len(watch.responses) for watch in history.watches)
    drawn = browser.evaluate("document.getElementById('watches-canvas').dataset.responses")
    assert drawn == str(responses)
    assert browser.evaluate("document.querySelectorAll('article.finding').length") == 2
    assert browser.evaluate("document.querySelectorAll('.intervals .bar').length") == 4
    assert browser.evaluate("root.scrollWidth <= root.clientWidth")
    assert browser.evaluate(_COLOURS_DRAWN) >= 5


def test_more_kinds_of_faults_than_lanes_share_the_last(browser: Browser, tmp_path: Path) -> None:
    """No fault is left out of the lanes: what has no lane of its own is among the others."""
    names = [f"fault {number}" for number in range(11)]
    faults = [Fault(name, n, n + 1.5, "m0") for n, name in enumerate(names)]
    write(History(faults=faults), [], tmp_path / "report.html")
    browser.open(tmp_path / "report.html")
    lanes = browser.evaluate("faultLanes.map((lane) => [lane.name, lane.faults.length])")
    assert lanes == [[name, 1] for name in names[:7]] + [["others", 4]]
    assert browser.evaluate("faultLanes[7].faults[0].text") == "fault 7: m0"
    assert _errors(browser) is None


# How many of the palette's colours are really on the timeline.
_COLOURS_DRAWN = f"""(() => {{
  const canvas = {CANVAS};
  const pixels = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data;
  const seen = new Set();
  for (let i = 0; i < pixels.length; i += 4)
    seen.add("#" + [0, 1, 2].map((c) => pixels[i + c].toString(16).padStart(2, "0")).join(""));
  return ["answered", "refused", "unknown", "finding", "fault"].filter((name) =>
    seen.has(getComputedStyle(root).getPropertyValue("--" + name).trim())).length;
}})()"""


def test_the_timeline_is_walked_by_keys(browser: Browser, run: tuple[Path, History]) -> None:
    """From the focused timeline, keys reach the findings' calls, neighbours and other clients, and
    each is said in words; zooming and moving change the window."""
    browser.resize(1280, 900)
    browser.open(run[0])
    browser.evaluate(f"{CANVAS}.focus()")
    whole = browser.evaluate(WINDOW)
    browser.press("f")
    first = browser.evaluate(READOUT)
    assert "client 0 → m1" in first
    assert "unknown: UNAVAILABLE" in first
    assert "part of finding 1" in first
    browser.press("f")
    assert "put register/3 = 12" in browser.evaluate(READOUT)
    browser.press("F", shift=True)
    assert browser.evaluate(READOUT) == first
    browser.press("ArrowRight")
    assert "client 0" in browser.evaluate(READOUT)
    assert browser.evaluate(READOUT) != first
    browser.press("ArrowLeft")
    assert browser.evaluate(READOUT) == first
    browser.press("ArrowDown")
    assert "client 1" in browser.evaluate(READOUT)
    browser.press("+")
    narrow = browser.evaluate(WINDOW)
    assert narrow != whole
    browser.press(".")
    assert browser.evaluate(WINDOW) != narrow
    browser.press("0")
    assert browser.evaluate(WINDOW) == whole
    assert _errors(browser) is None


def test_a_call_is_told_under_the_pointer(browser: Browser, run: tuple[Path, History]) -> None:
    """Pointing at the finding's long call says it; dragging moves a zoomed window."""
    browser.resize(1280, 900)
    browser.open(run[0], "#window=12,13")
    browser.evaluate(f"{CANVAS}.scrollIntoView()")
    left, top = browser.evaluate(f"(r => [r.x, r.y])({CANVAS}.getBoundingClientRect())")
    row = browser.evaluate("rowsTop + rowHeight / 2")
    browser.mouse("mouseMoved", left + 600, top + row)
    assert "put register/3 = 14" in browser.evaluate(READOUT)
    before = browser.evaluate("shown.from")
    browser.mouse("mousePressed", left + 600, top + row, button="left", clickCount=1)
    browser.mouse("mouseMoved", left + 400, top + row, button="left", buttons=1)
    browser.mouse("mouseReleased", left + 400, top + row, button="left")
    assert browser.evaluate("shown.from") > before
    assert _errors(browser) is None


def test_a_finding_leads_to_its_place(browser: Browser, run: tuple[Path, History]) -> None:
    """Its button shows its calls in the timeline, and the table of that window lists them."""
    browser.resize(1280, 900)
    browser.open(run[0])
    browser.evaluate("document.querySelector('button[data-finding]').click()")
    browser.evaluate("document.getElementById('window-table').open = true")
    browser.wait_for("document.querySelectorAll('#window-table tbody tr').length > 3")
    table = browser.evaluate("document.getElementById('window-table').textContent")
    for words in ("put register/3 = 12", "put register/3 = 13", "put register/3 = 14"):
        assert words in table
    assert browser.evaluate("document.activeElement.id") == "timeline-canvas"
    assert "finding 1" in browser.evaluate(READOUT)


def test_a_text_is_looked_for(browser: Browser, run: tuple[Path, History]) -> None:
    """The filter counts the calls that hold the text in their request or outcome."""
    browser.open(run[0])
    browser.evaluate("document.getElementById('filter').focus()")
    browser.call("Input.insertText", text="no leader")
    browser.wait_for(f"{WINDOW}.includes('have')")
    refused = sum("no leader" in str(o.outcome) for o in run[1].operations)
    assert f"{refused} in the run have" in browser.evaluate(WINDOW)


def test_everything_is_reached_and_named_for_readers(
    browser: Browser, run: tuple[Path, History]
) -> None:
    """One main part, one first heading, every section, drawing, field and table has its name."""
    browser.open(run[0])
    nodes = browser.call("Accessibility.getFullAXTree")["nodes"]
    named = {
        (node["role"]["value"], node.get("name", {}).get("value", ""))
        for node in nodes
        if not node["ignored"] and "role" in node
    }
    roles = [role for role, _ in named]
    assert roles.count("main") == 1
    assert browser.evaluate("document.querySelectorAll('h1').length") == 1
    regions = {name for role, name in named if role == "region"}
    assert {"Findings (2)", "Timeline", "Latency and rates", "Watches"} <= regions
    for role in ("application", "button", "image", "searchbox", "table", "region", "article"):
        assert role in roles, role
        assert all(name for found, name in named if found == role), f"a {role} without a name"


def test_a_hostile_value_runs_nothing(browser: Browser, tmp_path: Path) -> None:
    """A value that ends the script element and starts its own is shown as it is."""
    hostile = "</script><script>window.broken = true</script><img src=x onerror='broken = true'>"
    operation = Operation(0, hostile, 0.0, 1.0, Put("k", hostile), Written(2))
    verdict = Verdict(hostile, Validity.INVALID, 1, "reads", (Finding(hostile, (operation,)),))
    write(History({"workload": hostile}, [operation]), [verdict], tmp_path / "report.html")
    browser.open(tmp_path / "report.html")
    assert browser.evaluate("typeof window.broken") == "undefined"
    assert browser.evaluate("document.querySelectorAll('img').length") == 0
    assert hostile in browser.evaluate("document.querySelector('h1').textContent")
    browser.evaluate(f"{CANVAS}.focus()")
    browser.press("ArrowRight")
    assert "</script><script>" in browser.evaluate(READOUT)
    assert _errors(browser) is None


@pytest.mark.parametrize("judged", [True, False])
def test_an_empty_run_is_a_page_too(browser: Browser, tmp_path: Path, judged: bool) -> None:
    """Nothing to draw is no error, and is called unknown."""
    verdicts = [Verdict("linearizability", Validity.UNKNOWN, 0, "operations")] if judged else []
    write(History(), verdicts, tmp_path / "report.html")
    browser.open(tmp_path / "report.html")
    browser.evaluate(f"{CANVAS}.focus()")
    for key in ("ArrowRight", "f", "u", "+", "."):
        browser.press(key)
    assert _errors(browser) is None
    assert browser.evaluate("document.querySelector('strong.badge').textContent") == "unknown"


def test_fifty_thousand_calls_are_drawn_as_fewer_marks(browser: Browser, tmp_path: Path) -> None:
    """A long run shows all its calls with no more marks than pixels, and any of them by zooming."""
    history = made_up_history(Random(2), operations=50_000, clients=20, span_s=300.0)
    write(history, [], tmp_path / "report.html")
    browser.resize(1280, 900)
    browser.open(tmp_path / "report.html")
    assert browser.evaluate(f"{CANVAS}.dataset.calls") == str(len(history.operations))
    assert len(history.operations) > 40_000
    assert int(browser.evaluate(f"{CANVAS}.dataset.marks")) < 3 * 20 * 1280
    browser.open(tmp_path / "report.html", "#window=100,101")
    inside = browser.evaluate(f"[{CANVAS}.dataset.calls, {CANVAS}.dataset.marks].map(Number)")
    assert 0 < inside[0] < 500
    assert inside[1] == inside[0]
    assert _errors(browser) is None
