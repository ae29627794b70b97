"""raftkv ctl who and top --clients: what access logs and members tell, told to a person."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from raftkv.access.keys import hashed
from raftkv.cli.ctl.talkers import merged_of
from raftkv.cli.main import main

PUT, TXN, RANGE = (f"/etcdserverpb.KV/{name}" for name in ("Put", "Txn", "Range"))


def line(revision: int, method: str = PUT, **more: Any) -> str:
    told = {
        "ts": "2026-01-02T03:04:05.006Z", "event": "call", "method": method, "user": "ann",
        "cn": "", "peer": "10.0.0.7:1", "key": "/a", "range_end": "", "code": "OK",
        "revision": revision, "term": 2, "index": revision + 7, "wrote": True, **more,
    }  # fmt: skip
    return json.dumps({name: value for name, value in told.items() if value is not None}) + "\n"


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """A log with what its rotation left."""
    old = tmp_path / "m0-2026-01-01T00-00-00.000.log.gz"
    with gzip.open(old, "wt") as packed:
        packed.write(line(2, user="", cn="web"))
    path = tmp_path / "m0.log"
    path.write_text(
        line(3, key="/b")
        + line(3, RANGE, index=None)
        + line(4, TXN, keys=[["/a", ""], ["/c", "/d"]])
        + line(5, key="/e", code="Canceled")
        + line(5, "/etcdserverpb.Lease/LeaseRevoke", key=None, lease="ff", wrote=None)
        + line(5, "/etcdserverpb.KV/DeleteRange", rows=0, wrote=False)
        + line(7, "/etcdserverpb.Lease/LeaseRevoke", key=None, lease="fe", wrote=None)
        + '{"event":"dropped","lines":3}\n'
        + line(6, key=hashed(b"/secret"))
        + "no line at all\n"
    )
    return path


def who(log: Path, *words: str) -> Result:
    arguments = ["ctl", "who", "--access-log", str(log), *words]
    return CliRunner().invoke(main, arguments, standalone_mode=True)


@pytest.mark.parametrize(
    ("words", "revisions"),
    [
        (("2",), [2]),
        (("3",), [3]),
        (("5",), [5]),
        (("7",), [7]),
        (("/a",), [2, 4]),
        (("/c",), [4]),
        (("/cat",), [4]),
        (("/d",), []),
        (("/secret",), [6]),
        (("99",), []),
        (("3", "--is-key"), []),
    ],
)
def test_the_lines_of_a_revision_or_a_key(
    log: Path, words: tuple[str, ...], revisions: list[int]
) -> None:
    """Only what wrote it, from rotated files too, in ranges and txns, and by their hash."""
    told = who(log, *words, "-w", "json")
    if not revisions:
        assert told.exit_code == 1
        assert "no line tells who wrote" in told.output
        return
    found = json.loads(told.stdout)
    assert [one["revision"] for one in found] == revisions
    assert all(one["method"] != RANGE for one in found)


def test_a_line_for_a_person(log: Path) -> None:
    """Revision, time, what was done, by whom, from where; and what the log cannot tell."""
    told = who(log, "/a")
    assert told.stdout.splitlines() == [
        '2 2026-01-02T03:04:05.006Z Put "/a" by web from 10.0.0.7:1 code=OK term=2 index=9',
        "4 2026-01-02T03:04:05.006Z Txn "
        '"/a" and 1 more by ann from 10.0.0.7:1 code=OK term=2 index=11',
    ]
    assert "no room for 3 lines" in told.stderr
    assert "1 lines are none of an access log" in told.stderr


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    """Is named."""
    told = who(tmp_path / "nowhere.log", "3")
    assert told.exit_code != 0
    assert "nowhere.log" in told.output


def test_members_are_added_up() -> None:
    """The same client on two members is one row; its rate is the sum of its rates there."""

    def told(seconds: float, **calls: int) -> dict[str, Any]:
        rows = [
            {"name": name, "calls": n, "error": 0, "failed": 1, "bytes_in": 5, "bytes_out": 7,
             "seconds": 0.5}
            for name, n in calls.items()
        ]  # fmt: skip
        empty: list[Any] = []
        return {"seconds": seconds, "calls": 0, "clients": rows, "users": empty,
                "prefixes": empty, "methods": empty}  # fmt: skip

    merged = merged_of([told(10, a=100, b=10), told(100, b=1000)])
    assert [(row["name"], row["calls"]) for row in merged["clients"]] == [("b", 1010), ("a", 100)]
    assert merged["clients"][0]["per_second"] == pytest.approx(11)
    assert merged["clients"][0]["bytes_out"] == 14
