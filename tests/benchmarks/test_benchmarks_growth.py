"""The growth benchmark: what it counts, where it goes on, and what it draws."""

from __future__ import annotations

import json
from pathlib import Path
from xml.etree import ElementTree

import click
import pytest

from benchmarks import growth, growth_chart, growth_load, joining
from benchmarks.filling import check, fill
from benchmarks.measurement import NotProven
from tests.e2e.api import Api
from tests.e2e.cluster import Cluster
from tests.e2e.program import RAFTKV

FIGURES = {
    "put_cpu_us": 100.0,
    "get_cpu_us": 30.0,
    "page_cpu_ms": 2.0,
    "restart_cpu_s": 0.7,
    "join_cpu_s": 1.0,
    "anonymous_mib": 60.0,
    "resident_mib": 90.0,
    "disk_mib": 30.0,
    "put_written_bytes": 900.0,
}


def document_of(path: Path, *, members: int = 3, sizes: tuple[int, ...]) -> growth.Document:
    """A list and a count cost as the keys do, everything else the same."""
    document = growth.Document(path)
    for keys in sizes:
        linear = {"list_cpu_ms": keys / 1000, "count_cpu_ms": keys / 5000}
        document.add(RAFTKV, keys, members, FIGURES | linear)
    return document


def test_a_run_goes_on_where_the_last_one_stopped(tmp_path: Path) -> None:
    """What is in the file is not measured again, by the same program with as many members."""
    document_of(tmp_path / "growth.json", sizes=(100_000, 10_000))
    again = growth.Document(tmp_path / "growth.json")
    assert [point["keys"] for point in again.points] == [10_000, 100_000]
    sizes = [1_000_000, 10_000, 100_000]
    assert again.missing(RAFTKV, 3, sizes) == [1_000_000]
    assert again.missing(RAFTKV, 1, sizes) == [10_000, 100_000, 1_000_000]
    assert [path.name for path in tmp_path.iterdir()] == ["growth.json"]
    assert len(json.loads((tmp_path / "growth.json").read_text())) == 2


@pytest.mark.parametrize(("text", "number"), [("500", 500), ("10k", 10_000), ("3M", 3_000_000)])
def test_sizes_are_told_in_short(text: str, number: int) -> None:
    """With k for thousands and M for millions."""
    assert growth.number_of(text) == number


@pytest.mark.parametrize("text", ["", "k", "1.5M", "10K", "-3"])
def test_what_is_no_size_is_refused(text: str) -> None:
    """With the text and what would have been one."""
    with pytest.raises(click.BadParameter, match="is no number such as"):
        growth.number_of(text)


def test_slopes_are_powers_of_the_size() -> None:
    """0 for what stays the same, 1 for what grows alike, 0.5 for a root."""
    sizes = (10.0, 100.0, 1000.0)
    assert growth_chart.slope([(size, 7.0) for size in sizes]) == pytest.approx(0)
    assert growth_chart.slope([(size, 3 * size) for size in sizes]) == pytest.approx(1)
    assert growth_chart.slope([(size, size**0.5) for size in sizes]) == pytest.approx(0.5)


def test_pictures_and_tables_have_every_cost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A panel with a point of each size per cost, and a row with its slope; a series of fewer than
    three sizes is no line."""
    monkeypatch.setattr(growth_chart, "BY_KEYS", tmp_path / "keys.svg")
    monkeypatch.setattr(growth_chart, "BY_MEMBERS", tmp_path / "members.svg")
    document = document_of(tmp_path / "growth.json", sizes=(10_000, 100_000, 1_000_000))
    document_of(tmp_path / "growth.json", members=1, sizes=(10_000, 100_000))
    tables = growth_chart.draw(document.points)
    assert "raftkv, 3 members:" in tables
    assert "raftkv, 1 member:" not in tables
    assert "| a list of all keys | ms of CPU, leader | 10.0 | 100 | 1,000 | 1.00 |" in tables
    assert "| a put | us of CPU, all members | 100 | 100 | 100 | 0.00 |" in tables
    root = ElementTree.fromstring((tmp_path / "keys.svg").read_text())
    space = "{http://www.w3.org/2000/svg}"
    assert len(root.findall(f"{space}polyline")) == len(growth_chart.COSTS)
    texts = [text.text for text in root.iter(f"{space}text")]
    assert {cost.title for cost in growth_chart.COSTS} <= set(texts)
    ElementTree.fromstring((tmp_path / "members.svg").read_text())


def test_filling_loads_and_joining_do_what_they_say(tmp_path: Path) -> None:
    """Keys are filled on from where they were, and counted; a load puts what it tells; a new member
    has the leader's revision, and is gone afterwards, twice over."""
    with Cluster(RAFTKV, tmp_path, members=1) as cluster:
        leader = cluster.leader()
        api = Api(leader.endpoint)
        fill(api, 0, 300)
        fill(api, 300, 1000)
        check(api, 1000)
        with pytest.raises(NotProven, match="1000 keys, 999 were put"):
            check(api, 999)
        before = api.revision()
        load = growth_load.puts(leader.endpoint, 1000, seconds=0.01)
        assert api.revision() - before == load.requests >= growth_load.CLIENTS
        check(api, 1000)
        assert growth_load.gets(leader.endpoint, 1000, seconds=0.01).requests >= growth_load.CLIENTS
        for _ in range(2):
            assert joining.join(cluster).cpu_seconds > 0
            assert cluster.members == [leader]
        api.close()
