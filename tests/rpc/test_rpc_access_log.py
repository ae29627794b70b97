"""The access log: who asked for what, in one line each, and what does not get one."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from fake_member import FakeCall
from fake_stream import FakeStream, serve
from guarded_member import ANN, ROOT
from logged_member import LoggedMember

from raftkv.access.keys import hashed, left_out, prefix_of, quoted
from raftkv.access.outlet import LineOutlet
from raftkv.access.subject import header_of
from raftkv.api import rpc_pb2 as api
from raftkv.apply.header import HeaderEncoder
from raftkv.cli.recording import Recording
from raftkv.errors import Stopped
from raftkv.server.operations import Operations

Put, Range, Delete = api.PutRequest, api.RangeRequest, api.DeleteRangeRequest


@pytest.fixture
def member(tmp_path: Path) -> Iterator[LoggedMember]:
    member = LoggedMember(tmp_path / "db")
    yield member
    member.backend.close()


def test_a_put_is_told_with_all_of_its_fields(member: LoggedMember) -> None:
    """Caller, key, sizes, time, code, and where in history and in the log it stands."""
    call = FakeCall()
    call.peer_common_name = "web"
    member.hold = True
    request = Put(key=b"/a", value=b"secret").SerializeToString()
    member.begin("KV/Put", request, call)
    member.now += 0.0125
    member.release()
    answer = call.answer
    assert isinstance(answer, bytes)
    assert member.lines.last == {
        "ts": "2026-01-02T03:04:05.250Z",
        "event": "call",
        "method": "/etcdserverpb.KV/Put",
        "user": "",
        "cn": "web",
        "peer": "127.0.0.1:1",
        "key": "/a",
        "range_end": "",
        "rows": 1,
        "bytes_in": len(request),
        "bytes_out": len(answer),
        "took_ms": 12.5,
        "code": "OK",
        "revision": 2,
        "term": 3,
        "index": 1,
        "wrote": True,
    }
    assert "secret" not in "".join(member.lines.texts)


@pytest.mark.parametrize(
    ("request_", "rows"),
    [
        (Range(key=b"k", range_end=b"l"), 5),
        (Range(key=b"k", range_end=b"l", limit=3), 3),
        (Range(key=b"k", range_end=b"l", limit=5), 5),
        (Range(key=b"k", range_end=b"l", count_only=True), 0),
        (Range(key=b"k3"), 1),
        (Range(key=b"x"), 0),
        (Range(key=b"k", range_end=b"l", min_mod_revision=4), None),
    ],
)
def test_the_rows_of_a_range(member: LoggedMember, request_: Range, rows: int | None) -> None:
    """As many as the answer holds, without looking at them; unknown behind a filter."""
    for number in range(5):
        member.begin("KV/Put", Put(key=b"k%d" % number, value=b" \x01"))
    found = member.begin("KV/Range", request_).answer
    assert isinstance(found, bytes)
    if rows is not None:
        assert len(api.RangeResponse.FromString(found).kvs) == rows
    line = member.lines.last
    assert line.get("rows") == rows
    assert (line["key"], line["range_end"]) == (
        request_.key.decode(),
        request_.range_end.decode(),
    )
    assert (line["revision"], "index" in line) == (6, False)


def test_a_delete_and_a_txn(member: LoggedMember) -> None:
    """What was deleted is counted; of a txn the written keys of the branch that was taken stand."""
    for key in (b"a1", b"a2"):
        member.begin("KV/Put", Put(key=key))
    member.begin("KV/DeleteRange", Delete(key=b"a", range_end=b"b"))
    assert member.lines.last["rows"] == 2
    txn = api.TxnRequest(
        compare=[api.Compare(key=b"guard", target=api.Compare.VERSION, version=0)],
        success=[
            api.RequestOp(request_put=Put(key=b"one")),
            api.RequestOp(request_delete_range=Delete(key=b"p", range_end=b"q")),
        ],
        failure=[api.RequestOp(request_range=Range(key=b"guard"))],
    )
    member.begin("KV/Txn", txn)
    line = member.lines.last
    assert (line["key"], line["keys"]) == ("one", [["one", ""], ["p", "q"]])
    assert line["wrote"]
    txn.compare[0].version = 7
    member.begin("KV/Txn", txn)
    assert (member.lines.last["key"], "keys" in member.lines.last) == ("guard", False)


def test_only_what_wrote_a_revision_says_so(member: LoggedMember) -> None:
    """A delete of nothing, a txn that changed nothing and a grant have the revision of another
    write in their answers, and do not claim it; a revoked lease cannot tell."""

    def op(**fields: object) -> api.RequestOp:
        return api.RequestOp(**fields)

    nothing = op(request_delete_range=Delete(key=b"none"))
    within = api.TxnRequest(failure=[op(request_put=Put(key=b"x"))], success=[nothing])
    cases = [
        ("KV/Put", Put(key=b"k"), True),
        ("KV/DeleteRange", Delete(key=b"none"), False),
        ("KV/DeleteRange", Delete(key=b"k"), True),
        ("KV/Txn", api.TxnRequest(success=[nothing]), False),
        ("KV/Txn", api.TxnRequest(success=[op(request_txn=within), nothing]), False),
        ("KV/Txn", api.TxnRequest(success=[nothing, op(request_put=Put(key=b"k"))]), True),
        ("Lease/LeaseGrant", api.LeaseGrantRequest(ID=9, TTL=60), False),
        ("Lease/LeaseRevoke", api.LeaseRevokeRequest(ID=9), None),
    ]
    before = member.store.current_revision
    for method, request, wrote in cases:
        member.begin(method, request)
        assert member.lines.last.get("wrote") is wrote, method
        after = member.store.current_revision
        assert (after > before) == bool(wrote), method
        before = after


def test_a_large_txn_is_bounded(member: LoggedMember) -> None:
    """Sixteen keys of it stand in the line, and how many there were."""
    puts = [api.RequestOp(request_put=Put(key=b"%03d" % n)) for n in range(100)]
    member.begin("KV/Txn", api.TxnRequest(success=puts))
    assert len(member.lines.last["keys"]) == 16
    assert member.lines.last["keys_in_all"] == 100


def test_what_other_methods_are_about(member: LoggedMember) -> None:
    """Leases by their id, compactions by their revision, users by name, and no password."""
    member.begin("Lease/LeaseGrant", api.LeaseGrantRequest(ID=255, TTL=60))
    assert member.lines.last["lease"] == "ff"
    member.begin("KV/Put", Put(key=b"k", lease=255))
    member.begin("KV/Compact", api.CompactionRequest(revision=2))
    assert (member.lines.last["compacts"], member.lines.last["code"]) == (2, "OK")
    member.begin("Auth/UserAdd", api.AuthUserAddRequest(name="ann", password="hush"))
    assert member.lines.last["name"] == "ann"
    assert "hush" not in "".join(member.lines.texts)


def test_users_are_told_by_name(tmp_path: Path) -> None:
    """While auth is enabled the token's user stands there, in refusals too; "" for nobody."""
    member = LoggedMember(tmp_path / "db")
    for name in (ROOT, ANN):
        member.done("Auth/UserAdd", api.AuthUserAddRequest(name=name, password=f"{name}'s"))
    member.done("Auth/UserGrantRole", api.AuthUserGrantRoleRequest(user=ROOT, role=ROOT))
    member.done("Auth/AuthEnable", api.AuthEnableRequest())
    member.log_in(ROOT)
    member.log_in(ANN)
    member.done("KV/Put", Put(key=b"k"), ROOT)
    assert member.lines.last["user"] == ROOT
    assert member.ask("KV/Put", Put(key=b"k"), ANN) != b""
    line = member.lines.last
    assert (line["user"], line["code"]) == (ANN, "PermissionDenied")
    assert line["error"] == "etcdserver: permission denied"
    member.call("KV/Put", Put(key=b"k"), "no.1")
    assert (member.lines.last["user"], member.lines.last["code"]) == ("", "Unauthenticated")
    member.backend.close()


def test_a_refusal_has_code_and_text(member: LoggedMember) -> None:
    """What a handler raises, and what the member answers, are told alike."""
    member.begin("KV/Put", Put())
    assert member.lines.last["code"] == "InvalidArgument"
    assert member.lines.last["error"] == "etcdserver: key is not provided"
    member.begin("KV/Put", b"\xff\xff")
    assert member.lines.last["code"] == "Internal"
    assert "key" not in member.lines.last
    member.error = Stopped("stopping")
    member.begin("KV/Put", Put(key=b"k"))
    assert member.lines.last["code"] == "Unavailable"
    assert "revision" not in member.lines.last


def test_a_write_whose_client_left_is_told_with_its_revision(member: LoggedMember) -> None:
    """Its line waits for the entry; that of a read does not."""
    member.hold = True
    write = member.begin("KV/Put", Put(key=b"k"))
    read = member.begin("KV/Range", Range(key=b"k"))
    late = FakeCall()
    late.deadline = member.now + 1
    member.begin("KV/Range", Range(key=b"late"), late)
    write.cancel()
    read.cancel()
    assert [line["key"] for line in member.lines.all] == ["k"]
    assert member.lines.last["code"] == "Canceled"
    member.now += 2
    late.cancel()
    assert member.lines.last["code"] == "DeadlineExceeded"
    member.release()
    line = next(line for line in member.lines.all if line["method"].endswith("Put"))
    assert (line["code"], line["revision"], line["index"]) == ("Canceled", 2, 1)
    assert len(member.lines.all) == 3


async def test_a_stream_has_a_line_at_each_end(member: LoggedMember) -> None:
    """When it opens, and when it ends, with what passed and what was watched."""
    create = api.WatchCreateRequest(key=b"a", range_end=b"b")
    requests = [
        api.WatchRequest(create_request=create),
        api.WatchRequest(create_request=api.WatchCreateRequest(key=b"z")),
    ]
    member.random = None  # type: ignore[assignment]
    stream = FakeStream(requests, stays=True)
    serving = asyncio.ensure_future(serve(member.service("Watch"), "Watch", stream))
    while len(stream.sent) < 2:  # noqa: ASYNC110 - the handler runs in this loop
        await asyncio.sleep(0)
    assert member.lines.last == {
        "ts": "2026-01-02T03:04:05.250Z",
        "event": "open",
        "method": "/etcdserverpb.Watch/Watch",
        "user": "",
        "cn": "",
        "peer": "127.0.0.1:1",
    }
    member.now += 60
    serving.cancel()
    await asyncio.wait((serving,))
    line = member.lines.last
    assert (line["event"], line["code"], line["took_ms"]) == ("close", "Canceled", 60_000)
    assert (line["messages_in"], line["messages_out"]) == (2, 2)
    assert line["bytes_out"] == sum(map(len, stream.sent))
    assert line["keys"] == [["a", "b"], ["z", ""]]


def test_a_share_of_calls(tmp_path: Path) -> None:
    """Reads and writes are sampled apart; errors and slow calls always have a line."""
    drawn = iter([0.5, 0.005, 0.5])
    member = LoggedMember(tmp_path / "db", reads=0.01, chance=lambda: next(drawn))
    member.begin("KV/Range", Range(key=b"left out"))
    member.begin("KV/Range", Range(key=b"drawn"))
    member.begin("KV/Put", Put(key=b"write"))
    member.begin("KV/Range", Range(key=b"past", revision=99))
    member.hold = True
    member.begin("KV/Range", Range(key=b"slow"))
    member.now += 0.5
    member.release()
    told = [line["key"] for line in member.lines.all]
    assert told == ["drawn", "write", "past", "slow"]
    member.backend.close()


@pytest.mark.parametrize(
    ("key", "text"),
    [
        (b"/registry/pods/x", "/registry/pods/x"),
        (b'say "hi"\\', 'say \\"hi\\"\\\\'),
        (b"\x00\xffa\n", "\\x00\\xffa\\n"),
        ("ä".encode(), "\\xc3\\xa4"),
        (b"k" * 128, "k" * 128),
        (b"k" * 1000, "k" * 128 + "...(872 more)"),
        (b"", ""),
    ],
)
def test_keys_are_quoted_and_bounded(key: bytes, text: str) -> None:
    """Any bytes have a text of plain ASCII, in which a line of JSON can hold them."""
    assert quoted(key) == text
    assert text.isascii()


def test_keys_can_be_hidden(tmp_path: Path) -> None:
    """As a hash, the same for the same key, or left out."""
    for form, shown in ((hashed, hashed(b"k")), (left_out, "")):
        member = LoggedMember(tmp_path / f"db{shown}", form=form)
        member.begin("KV/Put", Put(key=b"k"))
        assert member.lines.last["key"] == shown
        assert '"k"' not in member.lines.texts[-1].replace('"key"', "")
        member.backend.close()


@pytest.mark.parametrize(
    ("key", "prefix"),
    [
        (b"/registry/pods/default/web", b"/registry/pods/"),
        (b"/registry/pods", b"/registry/"),
        (b"jobs/1", b"jobs/"),
        (b"a/b/c/d", b"a/b/"),
        (b"plain", b"plain"),
        (b"/", b"/"),
        (b"x" * 100, b"x" * 64),
    ],
)
def test_prefixes(key: bytes, prefix: bytes) -> None:
    """Two parts of a path, or the beginning of what is none."""
    assert prefix_of(key) == prefix


def test_an_answers_header_is_read_at_any_size(member: LoggedMember) -> None:
    """Ids and revisions of all lengths, as the member's own encoder makes them."""
    for ids in (1, 2**32, 2**64 - 1):
        for revision in (1, 127, 128, 2**31, 2**62):
            message = HeaderEncoder(ids, ids, 9).field(revision)
            assert header_of(message) == (revision, 9)
    for other in (b"", b"\x08\x01", b"\x0a\x7f\x01", b"\x0a\x02\xff\xff"):
        assert header_of(other) == (0, 0)


# --- the way to the file -------------------------------------------------------------------------


class Held:
    """An output that waits until the test lets it go, and may fail."""

    def __init__(self) -> None:
        self.free = threading.Event()
        self.data = b""
        self.error: OSError | None = None
        self.closed = False

    def write(self, line: bytes) -> None:
        self.free.wait(20)
        if self.error is not None:
            raise self.error
        self.data += line

    def close(self) -> None:
        self.closed = True


def test_a_full_queue_blocks_nobody() -> None:
    """Lines beyond the limit are counted, and told once there is room; nothing waits."""
    held = Held()
    outlet = LineOutlet(held, lambda seconds, flush: None, lines_max=10)
    for number in range(25):
        outlet.put(f'{{"n":{number}}}')
    assert (outlet.lines, outlet.dropped, outlet.waiting) == (10, 15, 10)
    outlet.flush()
    held.free.set()
    while outlet.waiting:
        pass
    outlet.put('{"n":"after"}')
    outlet.close()
    told = [json.loads(line) for line in held.data.splitlines()]
    assert told[:10] == [{"n": number} for number in range(10)]
    assert told[10:] == [{"event": "dropped", "lines": 15}, {"n": "after"}]
    assert held.closed


def test_large_lines_are_bounded_by_their_bytes() -> None:
    """A few huge lines fill the queue as many small ones do."""
    held = Held()
    outlet = LineOutlet(held, lambda seconds, flush: None, bytes_max=1000)
    for _ in range(5):
        outlet.put("x" * 400)
    assert (outlet.lines, outlet.dropped) == (3, 2)
    held.free.set()
    outlet.close()


def test_an_error_of_the_disk_is_counted() -> None:
    """The lines are lost and told of; later ones are written."""
    held = Held()
    held.error = OSError(28, "No space left on device")
    held.free.set()
    outlet = LineOutlet(held, lambda seconds, flush: flush())
    outlet.put("{}")
    while outlet.waiting:
        pass
    assert outlet.failed == 1
    held.error = None
    outlet.put('{"a":1}')
    outlet.close()
    assert held.data == b'{"a":1}\n'


async def test_nothing_is_there_while_nobody_records(member: LoggedMember) -> None:
    """Without the flags the services are the very ones that were made."""
    recording = Recording(member, Operations(), None)  # type: ignore[arg-type]
    service = member.service("KV")
    assert recording.watched(service) is service
    recording = Recording(member, Operations(finds_talkers=True), None)  # type: ignore[arg-type]
    assert recording.watched(service) is not service
