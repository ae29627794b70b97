"""history and diff: what etcdctl lacks.

Owns: their looks. Must never do: hide that a compaction took something: the first line says so.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import click

from raftkv.api.kv_pb2 import Event, KeyValue
from raftkv.cli.ctl.failure import refuse
from raftkv.cli.ctl.go_text import hexed, quoted
from raftkv.cli.ctl.json_shape import base64, text_of_json
from raftkv.cli.ctl.key import FROM_KEY, WORDS, raw
from raftkv.cli.ctl.output import Lines, show, table_of, write_lines
from raftkv.cli.ctl.verb import Settings, Verb, pass_settings
from raftkv.client import Client, prefix_end
from raftkv.client.history import Change, ChangeKind, Past

_HEADERS = ("REVISION", "WHAT", "KEY", "VERSION", "LEASE", "VALUE")
_SIGNS = {ChangeKind.ADDED: "+", ChangeKind.CHANGED: "~", ChangeKind.REMOVED: "-"}


@click.command("history", cls=Verb)
@WORDS
@click.option("--prefix", is_flag=True, help="of all keys that start with KEY")
@pass_settings
def history(settings: Settings, words: tuple[str, ...], prefix: bool) -> None:
    """Every version of the key WORDS[0] since the last compaction: its revision, whether it was
    created, updated or deleted, its version, lease and value."""
    if len(words) != 1:
        refuse("history needs one key")
    key = raw(words[0])
    end = prefix_end(key) if prefix else b""
    past = settings.run(lambda client: client.past(key or FROM_KEY, end))
    rows = list(_versions(past))
    show(
        settings,
        simple=lambda: _simple(settings, past, rows),
        json=lambda: {
            "compact_revision": past.compact_revision,
            "versions": [_json(row) for row in rows],
        },
        table=lambda: table_of(
            _HEADERS,
            (
                (*row[:2], _text(settings, row[2]), *row[3:5], _text(settings, row[5]))
                for row in rows
            ),
        ),
    )


Row = tuple[int, str, bytes, int, str, bytes]


def _versions(past: Past) -> Iterator[Row]:
    """(revision, what, key, version, lease, value); "kept" is older than the compaction."""
    for kv in past.kept:
        yield _row(kv, "kept")
    for event in past.events:
        if event.type == Event.DELETE:
            yield _row(event.kv, "delete")
        else:
            yield _row(event.kv, "create" if event.kv.version == 1 else "update")


def _row(kv: KeyValue, what: str) -> Row:
    return (
        kv.mod_revision,
        what,
        kv.key,
        kv.version,
        f"{kv.lease:x}" if kv.lease else "",
        kv.value,
    )


def _simple(settings: Settings, past: Past, rows: list[Row]) -> Lines:
    if past.compact_revision:
        yield f"# nothing before revision {past.compact_revision}: compacted"
    for revision, what, key, version, lease, value in rows:
        text = f"{revision} {what} {_text(settings, key)}"
        if what != "delete":
            held = f" lease={lease}" if lease else ""
            text += f" version={version}{held} {_text(settings, value)}"
        yield text


def _json(row: Row) -> dict[str, Any]:
    revision, what, key, version, lease, value = row
    shape: dict[str, Any] = {"revision": revision, "what": what, "key": base64(key)}
    if what != "delete":
        shape |= {"version": version, "lease": int(lease or "0", 16), "value": base64(value)}
    return shape


def _text(settings: Settings, data: bytes) -> str:
    return hexed(data) if settings.hex else quoted(data)


@click.command("diff", cls=Verb)
@WORDS
@pass_settings
def diff(settings: Settings, words: tuple[str, ...]) -> None:
    """What was added (+), changed (~) or removed (-) between the revisions WORDS[0] and WORDS[1],
    below the prefix WORDS[2] if there is one. Read in pages: it may be as large as it likes."""
    if not 2 <= len(words) <= 3:
        refuse("diff needs two revisions and an optional prefix")
    try:
        first, last = int(words[0]), int(words[1])
    except ValueError:
        refuse(f"{words[0]!r} and {words[1]!r} are to be revisions")
    if first <= 0 or last < 0:
        refuse(f"revisions start at 1; {first} and {last} were given (0 as the second is now)")
    prefix = raw(words[2]) if len(words) == 3 else b""
    if settings.format not in ("simple", "json"):
        show(settings)

    async def tell(client: Client) -> None:
        key, end = prefix or FROM_KEY, prefix_end(prefix) if prefix else FROM_KEY
        upto = last or (await client.revision())
        async for change in client.diff(first, upto, key, end):
            is_json = settings.format == "json"
            line = text_of_json(_change_json(change)) if is_json else _change(settings, change)
            await asyncio.to_thread(write_lines, [line])

    settings.run(tell, is_long=True)


def _change(settings: Settings, change: Change) -> str:
    sides = [_text(settings, kv.value) for kv in (change.before, change.after) if kv is not None]
    return f"{_SIGNS[change.kind]} {_text(settings, change.key)} {' -> '.join(sides)}"


def _change_json(change: Change) -> dict[str, Any]:
    """One line per change, since there may be many."""
    shape: dict[str, Any] = {"change": change.kind.value, "key": base64(change.key)}
    for name, kv in (("before", change.before), ("after", change.after)):
        if kv is not None:
            shape[name] = {"mod_revision": kv.mod_revision, "value": base64(kv.value)}
    return shape
