"""GET /api/keys, /api/key, /api/history and /api/diff: the key browser's questions.

Owns: their parameters and bounds, and the JSON of their answers. Must never do: read a store but
through ``session``, which asks the guard in the same turn.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from raftkv.mvcc.query import KeyValue, RangeQuery, RangeResult
from raftkv.mvcc.range_steps import RangeSteps
from raftkv.rpc.member import Guarded
from raftkv.ui.answers import Refusal
from raftkv.ui.key_reader import (
    Change,
    Difference,
    Version,
    range_end_of,
    read_history,
    read_key,
    read_keys,
)
from raftkv.ui.session import PageCall, Session
from raftkv.ui.text import from_base64, readable, strict_text, to_base64

Query = Mapping[str, Sequence[str]]
Json = dict[str, object]

KEYS_MAX = 500
VERSIONS_MAX = 100
CHANGES_MAX = 200
LIMIT_DEFAULT = 50
VALUE_BYTES_MAX = 256 << 10
STEPS_MAX = 100
"""Turns that one question may take; a difference then goes on with the next page, and a count is
left out."""
NUMBER_DIGITS_MAX = 18


class KeyApi:
    """Each method raises Refusal, and what the member refuses for."""

    def __init__(self, member: Guarded, session: Session) -> None:
        self._member = member
        self._session = session

    async def keys(self, call: PageCall, query: Query) -> Json:
        prefix, after = key_in(query, "prefix"), key_in(query, "after")
        revision = number_in(query, "rev")
        limit = number_in(query, "limit", LIMIT_DEFAULT, KEYS_MAX)
        key, range_end = _range_of(prefix)
        start = max(after + b"\0" if after else key, key)
        store = self._member.store

        def page() -> Json:
            at = revision or store.current_revision
            found = read_keys(store, start, _end(range_end), at, limit)
            return {
                "revision": at,
                "compact_revision": max(store.compact_revision, 0),
                "keys": [_listed(row) for row in found.rows],
                "more": found.next_key is not None,
                "next": to_base64(_after(found.next_key)),
            }

        answer = await self._session.read(call, key, range_end, page)
        at = answer["revision"]
        assert isinstance(at, int), at
        return {**answer, "count": await self._count(call, key, range_end, at)}

    async def key(self, call: PageCall, query: Query) -> Json:
        key, revision = _needed_key(query), number_in(query, "rev")
        store = self._member.store

        def read() -> Json | None:
            at = revision or store.current_revision
            found = read_key(store, key, revision)
            return None if found is None else {"revision": at, **_listed(found), **_value(found)}

        answer = await self._session.read(call, key, b"", read)
        if answer is None:
            when = f"at revision {revision}" if revision else "now"
            raise Refusal(404, f"there is no key {readable(key)!r} {when}: its history may have it")
        return answer

    async def history(self, call: PageCall, query: Query) -> Json:
        key, before = _needed_key(query), number_in(query, "before")
        limit = number_in(query, "limit", LIMIT_DEFAULT, VERSIONS_MAX)
        store = self._member.store

        def read() -> Json:
            versions, more = read_history(store, key, before, limit)
            return {
                "versions": [_version(each) for each in versions],
                "more": more,
                "revision": store.current_revision,
                "compact_revision": max(store.compact_revision, 0),
            }

        return await self._session.read(call, key, b"", read)

    async def diff(self, call: PageCall, query: Query) -> Json:
        prefix, after = key_in(query, "prefix"), key_in(query, "after")
        first, last = number_in(query, "from"), number_in(query, "to")
        limit = number_in(query, "limit", LIMIT_DEFAULT, CHANGES_MAX)
        if not first:
            raise Refusal(400, "a diff needs from=REVISION, and may have to=REVISION")
        key, range_end = _range_of(prefix)
        start = max(after + b"\0" if after else key, key)
        store = self._member.store

        def begin() -> Difference:
            to = last or store.current_revision
            begun = Difference(store, start, _end(range_end), first, to, limit)
            begun.step()
            return begun

        found = await self._session.read(call, key, range_end, begin)
        for _ in range(STEPS_MAX):
            if found.is_done:
                break
            await self._session.read_on(call, key, range_end, found.step)
        return {
            "from": found.first,
            "to": found.last,
            "changes": [_change(each) for each in found.changes],
            "more": found.next_key is not None,
            "next": to_base64(_after(found.next_key)),
        }

    async def _count(
        self, call: PageCall, key: bytes, range_end: bytes, revision: int
    ) -> int | None:
        """None where it would take too long."""
        store = self._member.store
        query = RangeQuery(key, range_end, revision=revision, count_only=True)
        found: RangeResult | RangeSteps | None
        found = await self._session.read_on(call, key, range_end, lambda: store.begin_range(query))
        if isinstance(found, RangeResult):
            return found.count
        step: Callable[[], RangeResult | None] = found.step
        for _ in range(STEPS_MAX):
            done = await self._session.read_on(call, key, range_end, step)
            if done is not None:
                return done.count
        return None


def key_in(query: Query, name: str) -> bytes:
    """Empty when it is not given. Raises Refusal."""
    try:
        return from_base64(query.get(name, [""])[0])
    except ValueError as e:
        raise Refusal(400, f"{name}: {e}") from None


def number_in(query: Query, name: str, default: int = 0, most: int | None = None) -> int:
    """Raises Refusal."""
    text = query.get(name, [""])[0] or str(default)
    if not text.isdecimal() or len(text) > NUMBER_DIGITS_MAX:
        raise Refusal(400, f"{name}: a whole number of 0 or more is expected, not {text[:40]!r}")
    number = int(text)
    if most is not None and not 0 < number <= most:
        raise Refusal(400, f"{name} must be from 1 to {most}, got {number}")
    return number


def _needed_key(query: Query) -> bytes:
    key = key_in(query, "key")
    if not key:
        raise Refusal(400, "key=BASE64URL is needed")
    return key


def _range_of(prefix: bytes) -> tuple[bytes, bytes]:
    return (prefix, range_end_of(prefix)) if prefix else (b"\0", b"\0")


def _end(range_end: bytes) -> bytes | None:
    return None if range_end == b"\0" else range_end


def _after(next_key: bytes | None) -> bytes:
    """What to give as ``after`` to go on at ``next_key``, which always ends in a zero byte."""
    if next_key is None:
        return b""
    assert next_key.endswith(b"\0"), next_key
    return next_key[:-1]


def _listed(row: KeyValue) -> Json:
    return {
        "key": to_base64(row.key),
        "text": readable(row.key),
        "version": row.version,
        "create_revision": row.create_revision,
        "mod_revision": row.mod_revision,
        "lease": f"{row.lease:x}" if row.lease else "",
        "bytes": len(row.value),
    }


def _value(row: KeyValue) -> Json:
    shown = row.value[:VALUE_BYTES_MAX]
    return {
        "value": to_base64(shown),
        "value_text": _text_of(row),
        "truncated": len(shown) < len(row.value),
    }


def _text_of(row: KeyValue) -> str | None:
    """None when the value is not UTF-8; a cut one ends before a character that is not whole."""
    if len(row.value) <= VALUE_BYTES_MAX:
        return strict_text(row.value)
    shown = row.value[:VALUE_BYTES_MAX]
    cut = (strict_text(shown[: len(shown) - n]) for n in range(4))
    return next((text for text in cut if text is not None), None)


def _version(version: Version) -> Json:
    row = version.key_value
    if row is None:
        return {
            "revision": version.revision, "type": "delete", "version": 0, "lease": "",
            "bytes": 0, "value": "", "value_text": None, "truncated": False,
        }  # fmt: skip
    told = _listed(row)
    return {
        "revision": version.revision,
        "type": "put",
        "version": row.version,
        "lease": told["lease"],
        "bytes": told["bytes"],
        **_value(row),
    }


def _change(change: Change) -> Json:
    told: Json = {
        "key": to_base64(change.key),
        "text": readable(change.key),
        "change": change.kind,
    }
    for name, row in (("from", change.before), ("to", change.after)):
        told[f"{name}_value"] = None if row is None else to_base64(row.value[:VALUE_BYTES_MAX])
        told[f"{name}_value_text"] = None if row is None else _text_of(row)
    return told
