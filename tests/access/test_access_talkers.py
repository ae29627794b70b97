"""The busiest callers: what is heavy is found, with its numbers, in bounded memory."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from random import Random
from typing import Any

from raftkv.access.keys import hashed, quoted
from raftkv.access.talkers import ALIKE_MAX, ENTRIES_MAX, SpaceSaving, Talkers, Weight
from raftkv.gateway.talker_pages import TalkerPages
from raftkv.wire.service import HttpRequest, HttpResponse


def report_of(talkers: Talkers, number: int = 10) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(json.dumps(talkers.report(number)))
    return found


def note(talkers: Talkers, client: str, key: bytes, method: str = "/KV/Put", **more: Any) -> None:
    fields: Mapping[str, Any] = {
        "seconds": 0.001, "bytes_in": 10, "bytes_out": 20, "failed": False, "now": 0.0,
    }  # fmt: skip
    talkers.note(client, more.pop("user", ""), key, method, **{**fields, **more})


def test_what_is_heavy_is_never_missed() -> None:
    """Space saving's promises, over skewed streams: whoever has more than 1/n of all calls is
    there, no count is too low, and none is higher than it should be by more than its error."""
    for seed in range(5):
        random = Random(seed)
        names = [f"c{min(int(random.paretovariate(0.8)), 5_000)}" for _ in range(20_000)]
        sketch = SpaceSaving(50)
        for name in names:
            sketch.add(name, Weight(calls=1))
        true = Counter(names)
        found = dict(sketch.top(50))
        assert len(sketch) == 50
        assert {name for name, number in true.items() if number > len(names) / 50} <= found.keys()
        for name, weight in found.items():
            assert weight.calls - weight.error <= true[name] <= weight.calls, name
        assert sketch.top(1)[0][0] == true.most_common(1)[0][0]


def test_skewed_load_shows_who_it_is() -> None:
    """One client of ten thousand asks for half of everything: first by client, prefix and method,
    with its bytes, though ten times more names came than are kept."""
    talkers = Talkers(lambda: 5.0, quoted)
    random = Random(1)
    for number in range(20_000):
        if number % 2:
            key = b"/registry/events/x%d" % number
            note(talkers, "10.0.0.66", key, user="spy", bytes_in=1_000, failed=number % 4 == 1)
        else:
            key = b"/registry/kind%d/" % random.randrange(9_000)
            note(talkers, f"10.1.{random.randrange(99)}.{random.randrange(99)}", key, "/KV/Range")
    found = report_of(talkers)
    assert found["calls"] == 20_000
    client, prefix = found["clients"][0], found["prefixes"][0]
    assert (client["name"], client["calls"] - client["error"]) == ("10.0.0.66", 10_000)
    assert (prefix["name"], prefix["bytes_in"]) == ("/registry/events/", 10_000_000)
    assert found["users"] == [{**client, "name": "spy"}]
    assert client["failed"] == 5_000
    assert abs(client["seconds"] - 10.0) < 1e-3
    assert [row["name"] for row in found["methods"]] == ["/KV/Put", "/KV/Range"]


def test_memory_is_bounded() -> None:
    """However many names there are, so many are kept."""
    talkers = Talkers(lambda: 0.0, quoted)
    for number in range(3 * ALIKE_MAX):
        note(talkers, f"c{number}", b"%d/" % number, f"m{number}", user=f"u{number}")
        assert len(talkers._alike) <= ALIKE_MAX
    found = report_of(talkers, ENTRIES_MAX)
    assert {len(found[each]) for each in ("clients", "users", "prefixes", "methods")} == {256}


def test_keys_are_shown_as_the_log_shows_them() -> None:
    """A hash instead of a prefix."""
    talkers = Talkers(lambda: 0.0, hashed)
    note(talkers, "c", b"/a/b/c")
    assert report_of(talkers)["prefixes"][0]["name"] == hashed(b"/a/b/")


async def test_the_page() -> None:
    """JSON at /debug/top, as many rows as asked for; other pages stay what they were."""
    talkers = Talkers(lambda: 0.0, quoted)
    for number in range(30):
        note(talkers, f"c{number}", b"k")

    async def behind(request: HttpRequest) -> HttpResponse:
        return HttpResponse(204, b"")

    pages = TalkerPages(talkers, behind)

    async def ask(target: str, method: str = "GET") -> HttpResponse:
        return await pages(HttpRequest(method, target, {}, b""))

    assert len(json.loads((await ask("/debug/top")).body)["clients"]) == 10
    assert len(json.loads((await ask("/debug/top?n=25")).body)["clients"]) == 25
    assert [(await ask(f"/debug/top?n={n}")).status for n in ("0", "257", "x")] == [400] * 3
    assert (await ask("/debug/top", "POST")).status == 405
    assert (await ask("/metrics")).status == 204
