"""raftkv ctl beside the real etcdctl: the same commands on the same cluster, the same text."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from base64 import b64decode
from collections.abc import Sequence

import pytest
from click.testing import CliRunner

from raftkv.cli.ctl.group import ctl as raftkv_ctl
from tests.e2e.cluster import Cluster
from tests.e2e.etcdctl import Outcome
from tests.e2e.program import RAFTKV
from tests.e2e.waiting import wait_until

pytestmark = pytest.mark.raftkv_only

TXN = """value("{p}a") = "1"
ver("{p}none") = "0"

put {p}t "new one"
get {p} --prefix
del {p}b

get {p}a

"""
SCRIPT: tuple[tuple[str, str], ...] = (
    ("put {p}a 1", ""),
    ("put {p}a 1 --prev-kv", ""),
    ("put {p}b", "from stdin"),
    ("put {p}c c --lease={l}", ""),
    ("put {p}a --ignore-value --prev-kv", ""),
    ("get {p}a", ""),
    ("get {p} --prefix", ""),
    ("get {p}a {p}c", ""),
    ("get {p}b --from-key --limit=1", ""),
    ("get {p} --prefix --order=DESCEND --sort-by=MODIFY", ""),
    ("get {p} --prefix --keys-only", ""),
    ("get {p} --prefix --consistency=s", ""),
    ("get {p}none", ""),
    ("get {p}a --hex", ""),
    ("txn", TXN),
    ("txn", TXN),
    ("txn", '\n\nput --prev-kv {p}a "x\\ty"\nget {p}a\n\n'),
    ("lease timetolive {l}", ""),
    ("lease timetolive {l} --keys", ""),
    ("lease timetolive 7b", ""),
    ("lease keep-alive --once {l}", ""),
    ("lease list", ""),
    ("member list", ""),
    ("endpoint status", ""),
    ("endpoint health", ""),
    ("endpoint hashkv", ""),
    ("del {p}a --prev-kv", ""),
    ("del {p}none", ""),
    ("del {p} --prefix --prev-kv", ""),
    ("role add {p}r", ""),
    ("role grant-permission {p}r readwrite a b", ""),
    ("role grant-permission {p}r read p/ --prefix", ""),
    ("role grant-permission {p}r write z --from-key", ""),
    ("role get {p}r", ""),
    ("user add {p}u:pw", ""),
    ("user grant-role {p}u {p}r", ""),
    ("user get {p}u", ""),
    ("user get {p}u --detail", ""),
    ("user passwd {p}u --interactive=false", "another\n"),
    ("role revoke-permission {p}r p/ --prefix", ""),
    ("user revoke-role {p}u {p}r", ""),
    ("user delete {p}u", ""),
    ("role delete {p}r", ""),
)
FAILURES = (
    "get", "get a --prefix --from-key", "get a b --prefix", "get a --order=X",
    "get a --rev=99999999", "put", "put a b --lease=7b", "del", "lease grant", "lease revoke 7b",
    "lease keep-alive --once 7b", "member remove 7b", "member add", "member update 7b",
    "compaction", "compaction 99999999", "role add", "role get nosuch", "user get nosuch",
    "role grant-permission r bad k", "role revoke-permission r", "user delete nosuch", "user add",
    "move-leader 7b", "get a -w table",
)  # fmt: skip


def run_ours(endpoints: str, words: Sequence[str], stdin: str = "") -> Outcome:
    """In this process: what is compared is text, and 200 starts of Python would cost a minute."""
    done = CliRunner().invoke(raftkv_ctl, [f"--endpoints={endpoints}", *words], input=stdin)
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    return Outcome(done.exit_code, done.stdout, done.stderr)


def own_process(cluster: Cluster, *words: str) -> list[str]:
    command = [sys.executable, "-m", "raftkv.cli.main", "ctl"]
    return [*command, f"--endpoints={','.join(cluster.endpoints)}", *words]


def masked(text: str) -> str:
    """Without what differs between two runs: revisions, positions, clocks, and the layout of tables
    that follows from them. etcdctl before 3.5 spells a union's fields in another way."""
    for old, new in (
        (r"Response(Put|Range|DeleteRange)\b", lambda found: _snake(found[0])),
        (r'("(?:create_|mod_|compact_|hash_)?revision":)\d+', r"\1R"),
        (r'("version":)\d+', r"\1V"),
        (r'(Revision|Version)" : \d+', r'\1" : R'),
        (r'(RaftIndex|RaftAppliedIndex|DBSize|Hash|TTL)" : \d+', r'\1" : N'),
        (r'("(?:raftIndex|raftAppliedIndex|dbSize|dbSizeInUse|hash|ttl)":)\d+', r"\1N"),
        (r"remaining\(\d+s\)", "remaining(N)"),
        (r"[\d.]+(ns|µs|ms|s)\b", "TOOK"),
        (r"(, \d+)+, $", ", N, "),
        (r", \d+$", ", N"),
        (r"[\d.]+ [kMG]?B", "SIZE"),
        (r"[-+ ]{2,}|\b\d{1,10}\b(?= \|)", " "),
    ):
        text = re.sub(old, new, text, flags=re.MULTILINE)
    return text


def _snake(name: str) -> str:
    return re.sub(r"(?<!^)([A-Z])", r"_\1", name).lower()


def known_json(text: str) -> str:
    """Fields that etcdctl 3.4 does not know yet are left out."""
    new = ("storageVersion", "dbSizeQuota", "downgradeInfo", "hash_revision")
    pattern = "|".join(rf',"{name}":(?:\{{[^}}]*\}}|"[^"]*"|\w+)' for name in new)
    return re.sub(pattern, "", text)


@pytest.mark.parametrize("form", ["simple", "json", "fields", "table"])
def test_the_same_text_as_etcdctl(shared_cluster: Cluster, prefix: str, form: str) -> None:
    """Every verb, on the same state: first by etcdctl, then by ours. The statuses are equal too."""
    lease = shared_cluster.ctl().json("lease", "grant", "600")["ID"]
    endpoint = shared_cluster.leader().endpoint
    theirs, ours = shared_cluster.ctl(shared_cluster.leader()), []
    said: list[Outcome] = []
    for results in (said, ours):
        for template, text in SCRIPT:
            words = [*template.format(p=prefix, l=f"{lease:x}").split(), "-w", form]
            stdin = text.format(p=prefix)
            if results is said:
                results.append(theirs.run(*words, stdin=stdin))
            else:
                results.append(run_ours(endpoint, words, stdin))
    for (template, _), want, got in zip(SCRIPT, said, ours, strict=True):
        said_by = want.output or want.errors  # etcdctl's health goes to stderr until 3.6
        if want.status == 0:
            assert known_json(masked(got.output)) == known_json(masked(said_by)), template
        assert got.status == want.status, template


def test_the_same_refusals_as_etcdctl(shared_cluster: Cluster) -> None:
    """etcdctl's words, with what to do next behind them, and its exit status."""
    leader = shared_cluster.leader()
    for template in FAILURES:
        words = template.split()
        want, got = shared_cluster.ctl(leader).run(*words), run_ours(leader.endpoint, words)
        text = want.errors.strip().splitlines()[-1].partition(" (strconv")[0]
        assert got.errors.strip().startswith(text), template
        assert (got.status, len(got.errors.strip().splitlines())) == (want.status, 1), template


def test_changes_of_members_read_as_etcdctls(shared_cluster: Cluster) -> None:
    """A learner is added and removed: the lines that a script reads. Ids are padded to 16."""
    endpoint = shared_cluster.leader().endpoint
    add = ["member", "add", "m9", "--peer-urls=http://127.0.0.1:9", "--learner"]
    texts = []
    for run in (shared_cluster.ctl(shared_cluster.leader()).run, lambda *w: run_ours(endpoint, w)):
        added = wait_until(lambda run=run: _good(run(*add)), "the cluster bears a learner")
        number = added.output.split()[1]
        removed = run("member", "remove", number)
        text = re.sub(r" +[0-9a-f]{13,16}\b", " ID", added.output + removed.output)
        told = re.search(r'INITIAL_CLUSTER="(.*)"', text)
        assert told is not None, text
        texts.append((text.replace(told[1], ""), sorted(told[1].split(","))))
    assert texts[0] == texts[1]


def _good(outcome: Outcome) -> Outcome | None:
    return outcome if outcome.status == 0 else None


def test_watch_lock_and_elect_in_their_own_process(shared_cluster: Cluster, prefix: str) -> None:
    """Events reach a command; a lock is held while one runs, with its status; a candidate's key is
    there until Ctrl-C, and gone after it."""
    etcdctl = shared_cluster.ctl()
    revision = etcdctl.put(prefix + "w", 'a "b"')
    watch = ["watch", prefix + "w", f"--rev={revision}", "--", "sh", "-c"]
    script = 'echo "$ETCD_WATCH_EVENT_TYPE $ETCD_WATCH_KEY $ETCD_WATCH_VALUE"'
    with _popen(own_process(shared_cluster, *watch, script)) as process:
        assert process.stdout is not None
        lines = [process.stdout.readline().strip() for _ in range(4)]
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 0
    assert lines == ["PUT", prefix + "w", 'a "b"', f'"PUT" "{prefix}w" "a \\"b\\""']
    held = own_process(
        shared_cluster, "lock", prefix + "l", "--", "sh", "-c", "echo $ETCD_LOCK_KEY; exit 7"
    )
    done = subprocess.run(held, capture_output=True, text=True, timeout=60, check=False)
    assert done.stdout.startswith(f"{prefix}l/")
    assert done.returncode == 7
    assert etcdctl.keys(prefix + "l", "--prefix") == []
    with _popen(own_process(shared_cluster, "elect", prefix + "e", "me")) as process:
        assert process.stdout is not None
        key = process.stdout.readline().strip()
        assert process.stdout.readline().strip() == "me"
        assert etcdctl.keys(prefix + "e", "--prefix") == [key]
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 0
    assert etcdctl.keys(prefix + "e", "--prefix") == []


def _popen(command: list[str]) -> subprocess.Popen[str]:
    environment = {**RAFTKV.environment(), "HOME": os.environ.get("HOME", "/")}
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)


def test_history_diff_and_top(shared_cluster: Cluster, prefix: str) -> None:
    """What etcdctl lacks: all versions of a key, what changed between two revisions, all members at
    a glance; the environment names the endpoints."""
    etcdctl, endpoint = shared_cluster.ctl(), shared_cluster.leader().endpoint
    key = prefix + "k"
    first = etcdctl.put(key, "one")
    etcdctl.put(prefix + "other", "x")
    etcdctl.put(key, "two")
    etcdctl.ok("del", key)
    last = etcdctl.put(key, "three")
    told = run_ours(endpoint, ["history", key, "-w", "json"])
    versions = json.loads(told.output)["versions"]
    assert [(v["revision"] - first, v["what"]) for v in versions] == [
        (0, "create"), (2, "update"), (3, "delete"), (4, "create"),
    ]  # fmt: skip
    assert [b64decode(v["value"]) for v in versions if "value" in v] == [b"one", b"two", b"three"]
    lines = run_ours(endpoint, ["history", key]).output.splitlines()
    assert lines[-1] == f'{last} create "{key}" version=1 "three"'
    changed = run_ours(endpoint, ["diff", str(first), str(last), prefix]).output.splitlines()
    assert changed == [f'~ "{key}" "one" -> "three"', f'+ "{prefix}other" "x"']
    top = run_ours(endpoint, ["top", "--once", "--interval=100ms", "-w", "json"])
    rows = json.loads(top.output)
    assert sorted(row["ROLE"] for row in rows) == ["follower", "follower", "leader"]
    assert all(row["FSYNC P99"] and row["WATCHERS"] != "-" for row in rows)
    by_environment = CliRunner(env={"RAFTKV_ENDPOINTS": endpoint}).invoke(raftkv_ctl, ["get", key])
    assert by_environment.output == f"{key}\nthree\n"


def test_usage_is_exact(shared_cluster: Cluster, prefix: str) -> None:
    """Keys and bytes by the next segment, more keys than a page has, and the sum last; what was
    deleted or put over does not count."""
    etcdctl, endpoint = shared_cluster.ctl(), shared_cluster.leader().endpoint
    api = shared_cluster.api(shared_cluster.leader())
    for number in range(410):
        api.put(f"{prefix}/a/{number:04}".encode(), b"v" * 10)
    etcdctl.put(f"{prefix}/b/x/y", "long ago")
    etcdctl.put(f"{prefix}/b/x/y", "now")
    etcdctl.put(f"{prefix}/b/gone", "gone")
    etcdctl.ok("del", f"{prefix}/b/gone")
    in_a, in_b = 410 * (len(prefix) + 7 + 10), len(prefix) + 6 + 3
    assert run_ours(endpoint, ["usage", prefix + "/"]).output.splitlines() == [
        f'410 {in_a} "{prefix}/a/"',
        f'1 {in_b} "{prefix}/b/"',
        f'411 {in_a + in_b} "{prefix}/"',
    ]
    told = json.loads(run_ours(endpoint, ["usage", prefix + "/b/", "-w", "json"]).output)
    assert (told["keys"], told["bytes"]) == (1, in_b)
    assert b64decode(told["prefixes"][0]["prefix"]) == f"{prefix}/b/x/".encode()


def test_a_prefix_is_bounded(shared_cluster: Cluster, prefix: str) -> None:
    """`quota` sets, shows and lifts; etcdctl is refused at every member, with the numbers, and only
    below the prefix; deleting makes room."""
    endpoint, below = shared_cluster.leader().endpoint, f"{prefix}/tenant/"
    etcdctl = shared_cluster.ctl()
    etcdctl.put(below + "a", "v")
    shared_cluster.wait_checked()  # every member knows this version's entries by then
    size = len(below) + 2
    row = f'"{below}", 1, 2, {size}, 1048576'
    words = ["quota", "set", below, "--keys=2", "--bytes=1M"]
    assert row in run_ours(endpoint, words).output.splitlines()
    etcdctl.put(below + "b", "v")
    for member in shared_cluster.members:
        told = shared_cluster.ctl(member).fails("put", below + "c", "v")
        assert f"the prefix {below} holds 2 keys of its quota of 2, 1 more" in told
    etcdctl.put(prefix + "/elsewhere", "v")
    etcdctl.ok("del", below + "a")
    etcdctl.put(below + "c", "v")
    told = json.loads(run_ours(endpoint, ["quota", "list", "-w", "json"]).output)
    mine = next(one for one in told["quotas"] if b64decode(one["prefix"]).decode() == below)
    assert (mine["keys"], mine["bytes"], mine["bytes_max"]) == (2, 2 * size, 1 << 20)
    assert below not in run_ours(endpoint, ["quota", "remove", below]).output
    etcdctl.put(below + "d", "v")
    assert run_ours(endpoint, ["quota", "set", below]).status
