"""etcdctl del: what it removes, what it prints, and what stays of the past."""

from __future__ import annotations

from tests.e2e.api import Api
from tests.e2e.etcdctl import Etcdctl


def test_delete_prints_the_count(ctl: Etcdctl, prefix: str) -> None:
    """One for a key that was there, none for one that was not."""
    ctl.put(prefix + "k", "v")
    assert ctl.ok("del", prefix + "k") == ["1"]
    assert ctl.ok("del", prefix + "k") == ["0"]
    assert ctl.keys(prefix, "--prefix") == []


def test_delete_prints_previous_pairs(ctl: Etcdctl, prefix: str) -> None:
    """--prev-kv prints each removed pair, in key order."""
    for name in "bac":
        ctl.put(prefix + name, f"value of {name}")
    printed = ctl.ok("del", prefix, "--prefix", "--prev-kv")
    assert printed[0] == "3"
    assert printed[1:] == [line for name in "abc" for line in (prefix + name, f"value of {name}")]


def test_delete_of_a_range_excludes_its_end(ctl: Etcdctl, prefix: str) -> None:
    """del KEY END removes [KEY, END)."""
    for name in "abcd":
        ctl.put(prefix + name, "v")
    assert ctl.ok("del", prefix + "b", prefix + "d") == ["2"]
    assert ctl.keys(prefix, "--prefix") == [prefix + "a", prefix + "d"]


def test_delete_from_key(ctl: Etcdctl, prefix: str) -> None:
    """--from-key removes to the end of the key space."""
    for name in "abc":
        ctl.put("~~" + prefix + name, "v")
    assert int(ctl.ok("del", "~~" + prefix + "b", "--from-key")[0]) == 2
    assert ctl.keys("~~" + prefix, "--prefix") == ["~~" + prefix + "a"]
    ctl.ok("del", "~~" + prefix, "--prefix")


def test_delete_of_many_is_one_revision(api: Api, prefix: str) -> None:
    """All keys of one request go in one revision; deleting nothing makes none."""
    key = prefix.encode()
    for name in (b"a", b"b", b"c"):
        before = api.put(key + name, b"v").header.revision
    gone = api.delete(key, key[:-1] + b"0")
    assert (gone.deleted, gone.header.revision) == (3, before + 1)
    again = api.delete(key, key[:-1] + b"0")
    assert (again.deleted, again.header.revision) == (0, before + 1)


def test_key_starts_anew_after_delete(ctl: Etcdctl, prefix: str) -> None:
    """A key that is put again has version 1 and a new create_revision; its past is still there."""
    old = ctl.put(prefix + "k", "first life")
    ctl.ok("del", prefix + "k")
    new = ctl.put(prefix + "k", "second life")
    (row,) = ctl.json("get", prefix + "k")["kvs"]
    assert (row["create_revision"], row["mod_revision"], row["version"]) == (new, new, 1)
    assert ctl.ok("get", prefix + "k", f"--rev={old}", "--print-value-only") == ["first life"]
    assert ctl.ok("get", prefix + "k", f"--rev={new - 1}") == []
