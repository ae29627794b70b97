"""The report's data: what is put into the page, before any browser draws it."""

from __future__ import annotations

import itertools
import json
import math
import re
from pathlib import Path
from random import Random

import pytest

from jepsen_like.checkers.verdict import Finding, Validity, Verdict
from jepsen_like.history.history import History
from jepsen_like.history.operation import (
    Event,
    Fault,
    MemberState,
    Operation,
    Watch,
    WatchResponse,
)
from jepsen_like.history.request import Compare, Get, Put, Relation, Target, Txn
from jepsen_like.history.result import Decided, Found, KeyValue, Refused, Unknown, Written
from jepsen_like.report import page
from jepsen_like.report.clock import Clock
from jepsen_like.report.dataset import dataset, lanes
from jepsen_like.report.excerpt import axis
from jepsen_like.report.findings import merged
from jepsen_like.report.markup import json_text, tag
from jepsen_like.report.series import percentile, round_width_s, series
from jepsen_like.report.summary import FINDINGS_SHOWN_MAX, shown_findings, verdict_words
from jepsen_like.report.tables import agreement
from jepsen_like.report.wording import (
    Standing,
    outcome_words,
    quoted,
    request_words,
    response_words,
)
from tests.jepsen_like.made_up_history import made_up_history, made_up_verdicts

HOSTILE = "</script><script>document.title='broken'</script><img src=x onerror=x>&\"'"


def _put(process: int, called_s: float, returned_s: float, value: str = "v") -> Operation:
    return Operation(process, "m0", called_s, returned_s, Put("k", value), Written(2))


def test_a_hostile_value_stays_text_everywhere() -> None:
    """Markup in a key, a value, an error, a setting, a fault, a member, a unit or a reason adds no
    element: the page has as many of each tag as it has with a harmless word in those places."""
    hostile, harmless = (page.html(*_run_of(text)) for text in (HOSTILE, "word"))
    assert hostile.count("</script>") == 2
    for name in ("script", "img", "title", "td", "p"):
        count = [len(re.findall(rf"<{name}\b", text)) for text in (hostile, harmless)]
        assert count[0] == count[1], name
    assert "&lt;/script&gt;" in hostile


def _run_of(text: str) -> tuple[History, list[Verdict]]:
    operation = Operation(0, text, 0.0, 1.0, Put(text, text), Unknown(text, text))
    watch = Watch(0, text, text, text, 0, True, 0.0, 1.0)
    kv = KeyValue(text, text, 1, 2, 1)
    watch.responses.append(WatchResponse(0.5, 2, (Event(False, kv, kv),)))
    history = History(
        {text: text, "workload": text},
        [operation],
        [watch],
        [Fault(text, 0.2, 0.4, text)],
        [MemberState(text, 2, 0, 1)],
    )
    return history, [Verdict(text, Validity.INVALID, 1, text, (Finding(text, (operation,)),))]


def test_text_that_is_no_text_is_written_too(tmp_path: Path) -> None:
    """A lone surrogate, a NUL and a direction mark neither break the file nor stay invisible."""
    history, verdicts = _run_of("a\ud800\0\u202e")
    page.write(history, verdicts, tmp_path / "report.html")
    text = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "\\ud800\\x00\\u202e" in text
    assert "\0" not in text
    assert "\u202e" not in text


def test_json_in_the_page_is_read_back_equal() -> None:
    """What is escaped for the script element is the same value after JSON.parse."""
    value = {"text": HOSTILE, "numbers": [1, None]}
    text = json_text(value).text
    assert not set("<>&") & set(text)
    assert json.loads(text) == value


def test_attributes_are_escaped() -> None:
    """A quote in an attribute does not end it."""
    assert tag("p", class_='"><b>').text == '<p class="&quot;&gt;&lt;b&gt;"></p>'


@pytest.mark.parametrize(
    ("first_s", "last_s", "clock"),
    [
        (0.25, 30.0, Clock(0.0, 30.0)),
        (1000.0, 1030.0, Clock(1000.0, 30.0)),
        (-2.0, 3.0, Clock(-2.0, 5.0)),
    ],
)
def test_times_are_those_of_the_file_where_they_can_be(
    first_s: float, last_s: float, clock: Clock
) -> None:
    """A virtual clock from 0 is kept, a machine's uptime is not; what never ended has no say."""
    history = History(
        operations=[_put(0, first_s, last_s)], faults=[Fault("kill", first_s, math.inf)]
    )
    assert Clock.of(history) == clock


def test_outcomes_have_three_standings() -> None:
    """Every call is drawn as answered, refused or unknown, at its own time and row."""
    history = History(
        operations=[
            Operation(7, "m1", 12.0, 12.5, Get("k"), Unknown("UNAVAILABLE", "lost")),
            Operation(3, "m0", 10.0, 10.25, Put("k", "v"), Written(2)),
            Operation(3, "m0", 11.0, 11.000001, Get("k"), Refused("OUT_OF_RANGE", "gone")),
        ]
    )
    data = dataset(history, [], Clock.of(history))
    columns = data["operations"]
    assert isinstance(columns, dict)
    assert columns["processes"] == [3, 7]
    assert columns["row"] == [0, 0, 1]
    assert columns["begin"] == [0, 1_000_000, 2_000_000]
    assert columns["end"] == [250_000, 1_000_001, 2_500_000]
    assert columns["standing"] == [0, 1, 2]
    texts = data["texts"]
    assert isinstance(texts, list)
    assert [texts[number] for number in columns["outcome"]] == [
        "written (revision 2)",
        "refused: OUT_OF_RANGE gone",
        "unknown: UNAVAILABLE lost",
    ]


def test_faults_of_one_name_share_a_lane() -> None:
    """Bands are in order of their begin; one that never ended reaches to the end of the run."""
    history = History(
        operations=[_put(0, 5.0, 15.0)],
        faults=[
            Fault("kill", 12.0, math.inf, "m1"),
            Fault("pause", 6.0, 8.0, "m2"),
            Fault("kill", 5.5, 7.0, "m0"),
        ],
    )
    data = dataset(history, [], Clock.of(history))
    assert data["span"] == 10_000_000
    assert [(f["name"], f["lane"], f["begin"], f["end"]) for f in data["faults"]] == [
        ("kill", 0, 500_000, 2_000_000),
        ("pause", 1, 1_000_000, 3_000_000),
        ("kill", 0, 7_000_000, 10_000_000),
    ]


def test_a_finding_is_found_in_the_whole_history() -> None:
    """Its places are those of equal operations in call order; one that nobody recorded has none."""
    history = History(operations=[_put(1, 2.0, 3.0), _put(0, 1.0, 4.0), _put(0, 2.0, 3.0)])
    finding = Finding("why", (_put(1, 2.0, 3.0), _put(9, 2.0, 3.0)))
    data = dataset(history, [finding], Clock.of(history))
    assert data["findings"] == [[1]]
    columns = data["operations"]
    assert (columns["row"][1], columns["begin"][1]) == (1, 1_000_000)


def test_streams_share_a_row_until_they_overlap() -> None:
    """A stream that was resumed stays in its client's row; one at the same time gets another."""
    assert lanes([(0, 2), (1, 3), (2, 4), (2.5, 5), (3, 6)]) == [0, 1, 0, 2, 1]


@pytest.mark.parametrize(
    ("span_s", "bins_max", "width_s"),
    [(60, 150, 0.5), (60, 30, 2), (0.0003, 100, 0.000005), (1000, 1, 1000), (0, 10, 1)],
)
def test_bins_have_a_round_width(span_s: float, bins_max: int, width_s: float) -> None:
    """1, 2 or 5 times a power of ten, and never more bins than asked for."""
    assert round_width_s(span_s, bins_max) == pytest.approx(width_s)


def test_every_call_is_in_one_bin() -> None:
    """Whatever the width, the rates times the lengths of the bins add up to the calls made."""
    history = made_up_history(Random(5))
    clock = Clock.of(history)
    for bins_max in (1, 3, 30, 150):
        found = series(history.operations, clock.origin_s, clock.span_s, bins_max)
        ends = [place.begin_s for place in found.bins[1:]] + [clock.span_s]
        total = sum(
            found.rate(index, kind) * (ends[index] - place.begin_s)
            for index, place in enumerate(found.bins)
            for kind in Standing
        )
        assert total == pytest.approx(len(history.operations))
        assert len(found.bins) <= bins_max


def test_a_sliver_at_the_end_is_no_bin() -> None:
    """One call in the last microseconds of a run does not look like a burst."""
    operations = [_put(0, t, t + 0.5) for t in range(10)] + [_put(0, 9.6, 10.0001)]
    found = series(operations, 0.0, 10.0001, 11)
    assert found.rate(len(found.bins) - 1, Standing.ANSWERED) == pytest.approx(2, abs=0.01)


def test_percentiles_are_measured_values_of_answered_calls() -> None:
    """Nearest rank; what was refused or never answered has no part in it."""
    assert [percentile([1, 2, 3, 4], p) for p in (0, 25, 26, 50, 99, 100)] == [1, 1, 2, 2, 4, 4]
    assert percentile([], 50) is None
    lost = Operation(0, "m0", 0.0, 9.0, Get("k"), Unknown("", ""))
    found = series([lost, _put(1, 0.0, 0.25)], 0.0, 9.0, 1)
    assert found.bins[0].percentile_s(100) == 0.25
    assert found.bins[0].counts[Standing.UNKNOWN] == 1


def test_an_excerpt_keeps_the_order() -> None:
    """Calls of microseconds that are minutes apart can be told apart, in the right order."""
    operations = [_put(0, 0.0, 1e-6), _put(1, 2e-6, 100.0), _put(2, 100.0, 100.1)]
    scale = axis(operations)
    places = [scale.percent(t) for t in (0.0, 1e-6, 2e-6, 100.0, 100.1)]
    gaps = [after - before for before, after in itertools.pairwise(places)]
    assert not scale.to_scale
    assert min(gaps) > 2
    assert gaps[2] == max(gaps)
    assert 0 < places[0] < places[-1] < 100
    assert (scale.percent(-1), scale.percent(200)) == (0, 100)


def test_an_excerpt_is_true_to_scale_where_it_can_be() -> None:
    """Calls of like length are drawn in proportion."""
    scale = axis([_put(0, 0.0, 1.0), _put(1, 2.0, 4.0)])
    at = [scale.percent(t) for t in (0.0, 1.0, 2.0, 3.0, 4.0)]
    assert scale.to_scale
    assert at[1] - at[0] == pytest.approx(at[4] - at[3])


def test_an_excerpt_of_many_calls_has_no_guides() -> None:
    """Lines at every begin and end help with few calls and hide the bars of many."""
    few, many = ([_put(n, n, n + 0.5) for n in range(count)] for count in (3, 40))
    texts = [
        page.html(
            History(), [Verdict("c", Validity.INVALID, 1, "reads", (Finding("r", tuple(o)),))]
        )
        for o in (few, many)
    ]
    assert ["/1px 100%" in text for text in texts] == [True, False]
    assert [text.count('class="bar answered"') for text in texts] == [3, 40]


def test_overlapping_faults_make_one_band() -> None:
    """Two faults at once are not drawn darker than one."""
    assert merged([(5, 6), (0, 2), (1, 3), (3, 4)]) == [(0, 4), (5, 6)]


def test_requests_and_outcomes_in_words() -> None:
    """A person reads what was asked and answered, and nothing invisible."""
    txn = Txn((Compare("k", Target.MOD, Relation.EQUAL, 3),), (Put("k", "w x"),), (Get("k"),))
    answer = Decided(4, False, (Found(5, (), 0),))
    assert request_words(txn) == 'txn: if mod_revision of k = 3 then put k = "w x", else get k'
    assert outcome_words(answer) == "condition failed: found nothing, own header at 5 (revision 4)"
    assert request_words(Get("a", "\0", 7, 2, True)) == (
        "get keys from a on, at revision 7, limit 2, serializable"
    )
    assert response_words(WatchResponse(0.0, 9)) == "progress: all up to revision 9"
    assert quoted("") == '""'
    assert quoted('a"\n') == '"a\\"\\n"'
    assert len(quoted("x" * 5000)) < 100


def test_nothing_is_called_valid_without_proof() -> None:
    """No verdict, or one unknown among valid ones, is said as proving nothing."""
    valid = Verdict("a", Validity.VALID, 5, "operations")
    unknown = Verdict("b", Validity.UNKNOWN, 0, "reads")
    assert "nothing is proven" in verdict_words([])
    assert "proves nothing" in verdict_words([valid, unknown])
    assert verdict_words([valid]) == "The one checker found no violation."
    assert "<strong" in (text := page.html(History(), []))
    assert "unknown</strong>" in text


def test_every_checker_gets_a_drawing_before_one_gets_many() -> None:
    """A checker with hundreds of findings does not push out another's only one."""
    many = tuple(Finding(f"reason {n}") for n in range(200))
    verdicts = [
        Verdict("loud", Validity.INVALID, 9, "events", many),
        Verdict("quiet", Validity.INVALID, 9, "events", (Finding("the only one"),)),
    ]
    shown = shown_findings(verdicts)
    assert len(shown) == FINDINGS_SHOWN_MAX
    assert shown[-1][1].reason == "the only one"
    assert "171 findings more are not drawn here." in page.html(History(), verdicts)


def test_hashes_are_compared_at_one_revision_only() -> None:
    """Different revisions are said to be incomparable, different hashes to be different data."""
    one = MemberState("m0", 5, 2, 77)
    assert agreement([one, MemberState("m1", 5, 2, 77)])[1]
    assert "different data" in agreement([one, MemberState("m1", 5, 2, 78)])[0]
    assert "different revisions" in agreement([one, MemberState("m1", 6, 2, 77)])[0]


def test_the_page_asks_for_nothing_from_outside() -> None:
    """No address, no import and no source of anything is in the page, and its policy says so."""
    history = made_up_history(Random(3))
    text = page.html(history, made_up_verdicts(history))
    assert "default-src 'none'" in text
    assert not re.search(r"https?://|@import|\bsrc=|\burl\(", text)


COLOUR = re.compile(r"--(\w+): (#[0-9a-f]{6})\b")


@pytest.mark.parametrize("part", [0, 1], ids=["light", "dark"])
def test_colours_have_contrast(part: int) -> None:
    """Text has 4.5:1 on both grounds, and so have the outcomes' colours, which text uses too;
    what is only a mark has 3:1."""
    style = (Path(page.__file__).parent / "page.css").read_text()
    blocks = re.findall(r":root \{(.*?)\}", style, re.DOTALL)
    colours = dict(COLOUR.findall(blocks[part]))
    texts = ("text", "muted", "link", "refused", "unknown", "finding", "valid", "answered")
    for ground in ("ground", "raised"):
        for name in texts:
            assert _contrast(colours[name], colours[ground]) >= 4.5, (name, ground)
    for name in ("fault", "median", "tail", "focus"):
        assert _contrast(colours[name], colours["ground"]) >= 3, name


def _contrast(one: str, other: str) -> float:
    lighter, darker = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


def _luminance(colour: str) -> float:
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
