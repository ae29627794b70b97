"""raftkv ctl without a cluster: what it reads, what it refuses, and how values are spelled."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from raftkv.api import rpc_pb2 as api
from raftkv.api.kv_pb2 import KeyValue
from raftkv.cli.ctl import downgrade
from raftkv.cli.ctl.endpoint import Told
from raftkv.cli.ctl.failure import Failure
from raftkv.cli.ctl.go_text import duration, hexed, quoted, size
from raftkv.cli.ctl.group import ctl
from raftkv.cli.ctl.json_shape import shape_of, text_of_json
from raftkv.cli.ctl.size import Size
from raftkv.cli.ctl.top import HEADERS, Look, fsync_p99, look_of, rows_of
from raftkv.cli.ctl.txn_grammar import parse_compare, parse_request, parse_txn, unquoted
from raftkv.cli.ctl.verb import Settings


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"plain", '"plain"'),
        (b'a"b\\c', '"a\\"b\\\\c"'),
        (b"\n\t\x00\x7f", '"\\n\\t\\x00\\x7f"'),
        (b"\xff\xc3\xbc", '"\\xff\u00fc"'),
        ("\u200b".encode(), '"\\u200b"'),
    ],
)
def test_bytes_are_quoted_as_go_does(data: bytes, text: str) -> None:
    """Go's %q, byte for byte."""
    assert quoted(data) == text


@given(st.binary(max_size=20))
def test_what_is_quoted_can_be_read_back(data: bytes) -> None:
    """A txn's line takes a key as -w fields prints it."""
    assert unquoted(quoted(data)).encode("utf-8", "surrogateescape") == data


def test_durations_and_sizes_are_spelled_as_etcdctl_does() -> None:
    """time.Duration and go-humanize."""
    spelled = [duration(s) for s in (0, 0.0000015, 0.001464986, 2.5, 60.5)]
    assert spelled == ["0ns", "1.5µs", "1.464986ms", "2.5s", "1m0.5s"]
    assert [size(n) for n in (5, 999, 20480, 1_500_000, 2 << 30)] == [
        "5 B", "999 B", "20 kB", "1.5 MB", "2.1 GB",
    ]  # fmt: skip
    assert hexed(b"fo") == "\\x66\\x6f"


def test_json_has_gos_shape() -> None:
    """Zero values are left out, bytes are base64, unions one level deeper, < is escaped."""
    kv = KeyValue(key=b"f", create_revision=2, value=b"<")
    response = api.TxnResponse(
        succeeded=True,
        responses=[api.ResponseOp(response_range=api.RangeResponse(kvs=[kv], count=1))],
    )
    assert shape_of(response) == {
        "succeeded": True,
        "responses": [
            {
                "Response": {
                    "response_range": {
                        "kvs": [{"key": "Zg==", "create_revision": 2, "value": "PA=="}],
                        "count": 1,
                    }
                }
            }
        ],
    }
    assert text_of_json({"a": "<&>"}) == '{"a":"\\u003c\\u0026\\u003e"}'


def test_the_grammar_of_a_txn() -> None:
    """Compares on every target, quoted words, options of the requests, three sections."""
    sections: list[int] = []
    lines = [
        'ver("k") > "0"', 'mod(k) != 3', 'value("a b") = "x\\n"', 'lease("k") < "1f"', "",
        'put "a b" \'c d\' --lease=1f', "get k --prefix", "", "del k --prev-kv", "", "put z z",
    ]  # fmt: skip
    txn = parse_txn(lines, sections.append)
    assert sections == [0, 1, 2]
    assert [(c.target, c.result, c.key) for c in txn.compare] == [
        (api.Compare.VERSION, api.Compare.GREATER, b"k"),
        (api.Compare.MOD, api.Compare.NOT_EQUAL, b"k"),
        (api.Compare.VALUE, api.Compare.EQUAL, b"a b"),
        (api.Compare.LEASE, api.Compare.LESS, b"k"),
    ]
    assert (txn.compare[2].value, txn.compare[3].lease) == (b"x\n", 0x1F)
    assert txn.success[0].request_put == api.PutRequest(key=b"a b", value=b"c d", lease=0x1F)
    assert txn.success[1].request_range == api.RangeRequest(key=b"k", range_end=b"l")
    assert [op.request_delete_range.prev_kv for op in txn.failure] == [True]


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("k = 1", "malformed comparison: k = 1"),
        ('valu("k") = "1"', "unknown target valu"),
        ('val("k") ~ "1"', "unknown operator ~"),
        ('mod("k") > "x"', 'invalid txn compare request: mod("k") > "x"'),
    ],
)
def test_a_wrong_compare_is_refused(line: str, says: str) -> None:
    """With etcdctl's words, and its status for invalid input."""
    with pytest.raises(Failure, match=says.replace("(", "\\(").replace(")", "\\)")) as raised:
        parse_compare(line)
    assert raised.value.exit_code == 3


def test_a_wrong_request_is_refused() -> None:
    """An unknown verb, an unknown option, a word too many: invalid input."""
    for line in ("foo k v", "get k --bogus", "put k"):
        with pytest.raises(Failure) as raised:
            parse_request(line)
        assert raised.value.exit_code == 3


@pytest.mark.parametrize(
    ("arguments", "status", "says"),
    [
        ("get", 128, "get command needs one argument as key"),
        ("get a --prefix --from-key", 128, "choose one"),
        ("get a b --prefix", 128, "too many arguments"),
        ("get a --order=X", 4, "bad sort order X"),
        ("get a --sort-by=X", 4, "bad sort target X"),
        ("get a --consistency=x", 4, 'unknown consistency flag "x"'),
        ("get a --count-only", 128, "--count-only is only for"),
        ("get a --bogus", 1, "--bogus"),
        ("put a b --lease=zz", 128, "expecting ID in Hex"),
        ("put a", 128, "put command needs 1 argument and input from stdin or 2 arguments"),
        ("del a b --prefix", 128, "too many arguments"),
        ("del a --range", 128, "--range"),
        ("lease grant", 128, "lease grant command needs TTL argument"),
        ("lease revoke zz", 128, "bad lease ID arg"),
        ("member add", 128, "member name not provided"),
        ("member add x", 128, "member peer urls not provided"),
        ("member remove zz", 128, "bad member ID arg"),
        ("compaction", 128, "compaction command needs 1 argument"),
        ("compaction x", 1, "no revision"),
        ("diff 1", 128, "diff needs two revisions"),
        ("diff 0 5", 128, "revisions start at 1"),
        ("history", 128, "history needs one key"),
        ("usage a b", 128, "usage takes one prefix"),
        ("bogus", 1, "No such command 'bogus'"),
        ("get a -w bogus", 4, "unsupported output format"),
        ("get a --command-timeout=soon", 1, "invalid duration"),
        ("--endpoints=, get a", 1, "at least one host:port"),
    ],
)
def test_mistakes_are_one_line_with_etcdctls_status(arguments: str, status: int, says: str) -> None:
    """Before anything is sent."""
    done = CliRunner().invoke(ctl, arguments.split())
    assert (done.exit_code, done.stdout) == (status, "")
    assert len(done.stderr.splitlines()) == 1
    assert done.stderr.startswith("Error: ")
    assert says in done.stderr


def test_who_cannot_be_reached_is_named() -> None:
    """One line, status 1."""
    done = CliRunner().invoke(ctl, ["--endpoints=127.0.0.1:1", "get", "a"])
    assert done.exit_code == 1
    assert "127.0.0.1:1" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_top_computes_rates_between_two_looks() -> None:
    """Revisions and log entries per second, the p99 of the fsyncs in between, who is down."""
    text = "\n".join(
        (
            "etcd_server_proposals_pending 3",
            'etcd_disk_wal_fsync_duration_seconds_bucket{le="0.001"} %d',
            'etcd_disk_wal_fsync_duration_seconds_bucket{le="0.002"} %d',
            'etcd_disk_wal_fsync_duration_seconds_bucket{le="+Inf"} %d',
            "",
        )
    )

    def look(at_s: float, revision: int, counts: tuple[int, int, int]) -> Look:
        header = api.ResponseHeader(member_id=7, revision=revision)
        status = api.StatusResponse(header=header, leader=7, raftIndex=revision, dbSize=2048)
        return look_of(at_s, status, text % counts)

    before, now = look(10.0, 100, (1000, 1000, 1000)), look(12.0, 150, (1000, 1100, 1100))
    assert fsync_p99(before, now) == "<=2ms"
    assert fsync_p99(None, before) == "<=1ms"
    rows = rows_of(
        [Told("a", before, "", 0.0)], [Told("a", now, "", 0.0), Told("b", None, "refused", 0.0)]
    )
    shown = dict(zip(HEADERS, rows[0], strict=True))
    assert (shown["ROLE"], shown["REV/S"], shown["PROP/S"]) == ("leader", "25.0", "25.0")
    assert (shown["PENDING"], shown["WATCHERS"], shown["DB"]) == ("3", "-", "2.0 kB")
    assert rows[1][:3] == ["b", "down: refused", "-"]
    assert len(rows[1]) == len(HEADERS)


def test_every_command_of_backups_has_an_example() -> None:
    """--help of everything under snapshot and backup shows a line to begin with."""
    for noun in ("snapshot", "backup"):
        group = ctl.commands[noun]
        assert isinstance(group, click.Group)
        for verb in group.commands:
            shown = CliRunner().invoke(ctl, [noun, verb, "--help"])
            assert shown.exit_code == 0
            assert re.search(rf"\n +raftkv ctl .*\b{noun} {verb} ", shown.output), shown.output


@pytest.mark.parametrize(
    "flags",
    [
        ("--no-bump", "--bump-revision", "5"),
        ("--no-bump", "--mark-compacted"),
        ("--bump-revision", "0"),
        ("--bump-revision", "-1"),
    ],
)
def test_a_restore_does_not_go_back_by_mistake(flags: tuple[str, ...], tmp_path: Path) -> None:
    """Without a word that says unsafe, revisions always go on: contradictions and zero are
    mistakes, with status 2, and nothing is made."""
    (tmp_path / "saved.db").write_bytes(b"")
    words = ["snapshot", "restore", str(tmp_path / "saved.db"), "--data-dir", str(tmp_path / "new")]
    refused = CliRunner().invoke(ctl, [*words, *flags])
    assert refused.exit_code == 2
    assert "bump" in refused.output
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize(
    ("text", "bytes_s"), [("800", 800), ("50M", 50 << 20), ("1.5g", 3 << 29), ("64KiB/s", 65536)]
)
def test_rates_are_read(text: str, bytes_s: int) -> None:
    """Bytes a second with the units that people write; what is none is refused."""
    assert Size().convert(text, None, None) == bytes_s
    for wrong in ("", "0", "fast", "-5M"):
        with pytest.raises(click.BadParameter):
            Size().convert(wrong, None, None)


async def test_a_downgrade_that_waits_says_for_whom_and_not_for_ever(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each change of who is waited for is told once; at the limit, what to do."""
    told = iter((["m1", "m2"], ["m1", "m2"], ["m2"], ["m2"], []))

    async def not_ready(settings: Settings, client: object) -> list[str]:
        return next(told)

    monkeypatch.setattr(downgrade, "_not_ready", not_ready)
    monkeypatch.setattr(downgrade, "LOOK_S", 0.0)
    client: Any = None
    await downgrade._until_ready(Settings(), client)
    assert capsys.readouterr().err == "waiting for m1, m2\nwaiting for m2\n"
    told = iter((["m3"],))
    monkeypatch.setattr(downgrade, "READY_S_MAX", 0.0)
    with pytest.raises(Failure, match=r"m3 cannot be replaced after 0 s: bring it back or remove"):
        await downgrade._until_ready(Settings(), client)
