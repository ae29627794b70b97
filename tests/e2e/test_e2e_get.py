"""etcdctl put and get, with every option that get has, against the leader and a follower."""

from __future__ import annotations

import pytest

from tests.e2e.api import Api
from tests.e2e.etcdctl import Etcdctl, decoded


@pytest.fixture
def fruit(ctl: Etcdctl, prefix: str) -> str:
    """Four keys, written in another order than their own: the prefix they share."""
    for name, value in (("cherry", "1"), ("apple", "4"), ("damson", "3"), ("banana", "2")):
        ctl.put(prefix + name, value)
    return prefix


def test_get_shows_what_put_wrote(ctl: Etcdctl, prefix: str) -> None:
    """The key and the value come back, binary-safe and with spaces and line feeds."""
    assert ctl.ok("put", prefix + "k", "a value") == ["OK"]
    assert ctl.ok("get", prefix + "k") == [prefix + "k", "a value"]
    assert ctl.ok("put", prefix + "k", stdin="two\nlines é") == ["OK"]
    assert ctl.ok("get", prefix + "k", "--print-value-only") == ["two", "lines é"]


def test_missing_key_prints_nothing(ctl: Etcdctl, prefix: str) -> None:
    """A get of a key that is not there succeeds and is empty."""
    assert ctl.ok("get", prefix + "nothing") == []


def test_revision_fields_count_as_etcds(ctl: Etcdctl, prefix: str) -> None:
    """create_revision, mod_revision and version follow the puts; every put is one revision."""
    first = ctl.put(prefix + "k", "1")
    assert ctl.put(prefix + "k", "1") == first + 1
    answer = ctl.json("get", prefix + "k")
    (row,) = answer["kvs"]
    assert (row["create_revision"], row["mod_revision"], row["version"]) == (first, first + 1, 2)
    assert answer["header"]["revision"] == first + 1
    assert answer["header"]["raft_term"] > 0


def test_put_prints_the_previous_pair(ctl: Etcdctl, prefix: str) -> None:
    """--prev-kv shows the pair that a put replaced, and nothing for a new key."""
    assert ctl.ok("put", prefix + "k", "old", "--prev-kv") == ["OK"]
    assert ctl.ok("put", prefix + "k", "new", "--prev-kv") == ["OK", prefix + "k", "old"]


def test_put_can_keep_the_value(ctl: Etcdctl, prefix: str) -> None:
    """--ignore-value writes a revision and leaves the value; a missing key is an error."""
    first = ctl.put(prefix + "k", "kept")
    ctl.ok("put", prefix + "k", "--ignore-value")
    (row,) = ctl.json("get", prefix + "k")["kvs"]
    assert (decoded(row["value"]), row["mod_revision"], row["version"]) == ("kept", first + 1, 2)
    assert "key not found" in ctl.fails("put", prefix + "none", "--ignore-value")


def test_put_can_keep_the_lease(ctl: Etcdctl, prefix: str) -> None:
    """--ignore-lease on a key without a lease changes the value only; a missing key is an error."""
    ctl.put(prefix + "k", "old")
    ctl.ok("put", prefix + "k", "new", "--ignore-lease")
    assert ctl.ok("get", prefix + "k", "--print-value-only") == ["new"]
    assert "key not found" in ctl.fails("put", prefix + "none", "v", "--ignore-lease")


def test_prefix_lists_in_key_order(ctl: Etcdctl, fruit: str) -> None:
    """--prefix gives every key that begins so, ascending, each with its value."""
    names = ["apple", "banana", "cherry", "damson"]
    assert ctl.keys(fruit, "--prefix") == [fruit + name for name in names]
    lines = ctl.ok("get", fruit, "--prefix")
    assert lines[1::2] == ["4", "2", "1", "3"]


def test_range_end_is_excluded(ctl: Etcdctl, fruit: str) -> None:
    """get KEY END lists [KEY, END)."""
    assert ctl.keys(fruit + "b", fruit + "damson") == [fruit + "banana", fruit + "cherry"]


def test_from_key_lists_to_the_end(ctl: Etcdctl, prefix: str) -> None:
    """--from-key lists every key from the given one on, whatever its prefix."""
    ctl.put("~" + prefix + "a", "1")
    ctl.put("~" + prefix + "b", "2")
    assert ctl.keys("~" + prefix + "b", "--from-key")[0] == "~" + prefix + "b"
    assert "~" + prefix + "a" not in ctl.keys("~" + prefix + "b", "--from-key")


def test_empty_prefix_lists_everything(ctl: Etcdctl, fruit: str) -> None:
    """--prefix with an empty key is the whole key space."""
    everything = ctl.keys("", "--prefix")
    assert {fruit + "apple", fruit + "damson"} <= set(everything)
    assert everything == sorted(everything)


def test_limit_cuts_and_counts(ctl: Etcdctl, fruit: str) -> None:
    """--limit gives the first rows, says that there is more, and counts them all."""
    answer = ctl.json("get", fruit, "--prefix", "--limit=3")
    assert [decoded(row["key"]) for row in answer["kvs"]] == [
        fruit + "apple",
        fruit + "banana",
        fruit + "cherry",
    ]
    assert (answer["more"], answer["count"]) == (True, 4)
    assert "more" not in ctl.json("get", fruit, "--prefix", "--limit=4")


def test_keys_only_leaves_values_out(ctl: Etcdctl, fruit: str) -> None:
    """--keys-only prints the keys alone."""
    lines = ctl.ok("get", fruit, "--prefix", "--keys-only")
    assert [line for line in lines if line] == [
        fruit + name for name in ("apple", "banana", "cherry", "damson")
    ]


def test_count_only_counts(api: Api, fruit: str) -> None:
    """count_only gives the number and no rows, whatever the limit (etcdctl 3.4 has no flag)."""
    end = fruit.encode()[:-1] + b"0"
    answer = api.range(fruit.encode(), end, count_only=True, limit=2)
    assert (answer.count, len(answer.kvs), answer.more) == (4, 0, False)


@pytest.mark.parametrize(
    ("target", "order", "names"),
    [
        ("KEY", "DESCEND", ["damson", "cherry", "banana", "apple"]),
        ("KEY", "ASCEND", ["apple", "banana", "cherry", "damson"]),
        ("CREATE", "ASCEND", ["cherry", "apple", "damson", "banana"]),
        ("MODIFY", "DESCEND", ["banana", "damson", "apple", "cherry"]),
        ("VALUE", "ASCEND", ["cherry", "banana", "damson", "apple"]),
        ("VALUE", "DESCEND", ["apple", "damson", "banana", "cherry"]),
    ],
)
def test_sorts(ctl: Etcdctl, fruit: str, target: str, order: str, names: list[str]) -> None:
    """--sort-by and --order sort by any field of the rows, in both directions."""
    listed = ctl.keys(fruit, "--prefix", f"--sort-by={target}", f"--order={order}")
    assert listed == [fruit + name for name in names]


def test_sort_by_version_with_limit(ctl: Etcdctl, fruit: str) -> None:
    """Sorting comes before the limit: the most often written key is the one that is left."""
    ctl.put(fruit + "damson", "5")
    listed = ctl.keys(fruit, "--prefix", "--sort-by=VERSION", "--order=DESCEND", "--limit=1")
    assert listed == [fruit + "damson"]


def test_old_revisions_stay_readable(ctl: Etcdctl, prefix: str) -> None:
    """--rev reads the past: values, keys that did not exist yet, and keys that are gone now."""
    first = ctl.put(prefix + "a", "1")
    second = ctl.put(prefix + "b", "2")
    ctl.put(prefix + "a", "3")
    ctl.ok("del", prefix + "b")
    assert ctl.ok("get", prefix + "a", f"--rev={second}") == [prefix + "a", "1"]
    assert ctl.keys(prefix, "--prefix", f"--rev={first}") == [prefix + "a"]
    assert ctl.keys(prefix, "--prefix", f"--rev={second}") == [prefix + "a", prefix + "b"]
    assert ctl.keys(prefix, "--prefix") == [prefix + "a"]
    assert ctl.json("get", prefix, "--prefix", f"--rev={first}")["header"]["revision"] > second


def test_revision_filters(api: Api, prefix: str) -> None:
    """min and max of mod and create revision filter rows, and never change the count."""
    key = prefix.encode()
    made = [api.put(key + bytes([65 + n]), b"v").header.revision for n in range(4)]
    end = key[:-1] + b"0"
    by_mod = api.range(key, end, min_mod_revision=made[1], max_mod_revision=made[2])
    assert [row.mod_revision for row in by_mod.kvs] == made[1:3]
    by_create = api.range(key, end, min_create_revision=made[2], max_create_revision=made[2])
    assert [row.create_revision for row in by_create.kvs] == [made[2]]
    assert (by_mod.count, by_create.count) == (4, 4)


@pytest.mark.parametrize("consistency", ["l", "s"])
def test_both_consistencies_answer(ctl: Etcdctl, prefix: str, consistency: str) -> None:
    """A member that was just written through sees the write in both kinds of read."""
    ctl.put(prefix + "k", "v")
    listed = ctl.ok("get", prefix + "k", f"--consistency={consistency}", "--print-value-only")
    assert listed == ["v"]


@pytest.mark.parametrize("form", ["simple", "fields", "json"])
def test_output_forms(ctl: Etcdctl, prefix: str, form: str) -> None:
    """The forms in which etcdctl prints text for a get all work on the answer."""
    ctl.put(prefix + "k", "v")
    assert ctl.ok("get", prefix + "k", f"--write-out={form}")
