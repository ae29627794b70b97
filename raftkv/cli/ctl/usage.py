"""usage: how many keys and bytes there are below a prefix, and below each of its next segments.

Owns: the count, at one revision, in bounded memory. Must never do: estimate: every key is read, in
pages, so that it takes its time with many and disturbs nobody.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import click

from raftkv.api.kv_pb2 import KeyValue
from raftkv.cli.ctl.failure import refuse
from raftkv.cli.ctl.go_text import hexed, quoted
from raftkv.cli.ctl.json_shape import base64
from raftkv.cli.ctl.key import FROM_KEY, WORDS, raw
from raftkv.cli.ctl.output import Lines, show, table_of
from raftkv.cli.ctl.verb import Settings, Verb, pass_settings
from raftkv.client import Client, prefix_end
from raftkv.client.history import pages

PAGE_KEYS = 200
SEPARATOR = b"/"
_HEADERS = ("PREFIX", "KEYS", "BYTES")


@dataclass(slots=True)
class Usage:
    """``bytes`` are those of keys and newest values."""

    keys: int = 0
    bytes: int = 0

    def add(self, kv: KeyValue) -> None:
        self.keys += 1
        self.bytes += len(kv.key) + len(kv.value)


@click.command("usage", cls=Verb)
@WORDS
@pass_settings
def usage(settings: Settings, words: tuple[str, ...]) -> None:
    """Keys and bytes (of keys and newest values) below the prefix WORDS[0], or of all keys, by the
    next segment up to a "/"; the last line is the sum. Exact, and of one revision."""
    if len(words) > 1:
        refuse("usage takes one prefix at most")
    prefix = raw(words[0]) if words else b""

    async def count(client: Client) -> tuple[int, dict[bytes, Usage]]:
        key, end = prefix or FROM_KEY, prefix_end(prefix) if prefix else FROM_KEY
        revision = await client.revision()
        found: dict[bytes, Usage] = {}
        async for kv in pages(client, revision, key, end, PAGE_KEYS):
            found.setdefault(segment_of(kv.key, len(prefix)), Usage()).add(kv)
        return revision, found

    revision, found = settings.run(count, is_long=True)
    total = total_of(found.values())
    rows = [*found.items(), (prefix, total)]
    show(
        settings,
        simple=lambda: _lines(settings, rows),
        json=lambda: {
            "revision": revision,
            "keys": total.keys,
            "bytes": total.bytes,
            "prefixes": [
                {"prefix": base64(name), "keys": one.keys, "bytes": one.bytes}
                for name, one in found.items()
            ],
        },
        table=lambda: table_of(
            _HEADERS, ((_text(settings, name), str(one.keys), str(one.bytes)) for name, one in rows)
        ),
    )


def segment_of(key: bytes, start: int) -> bytes:
    """``key`` up to the first separator behind ``start`` bytes, or behind one that stands there;
    all of it without any."""
    at = key.find(SEPARATOR, start + 1)
    return key if at < 0 else key[: at + 1]


def total_of(parts: Iterable[Usage]) -> Usage:
    total = Usage()
    for part in parts:
        total.keys += part.keys
        total.bytes += part.bytes
    return total


def _lines(settings: Settings, rows: list[tuple[bytes, Usage]]) -> Lines:
    def lines() -> Iterator[str]:
        for name, one in rows:
            yield f"{one.keys} {one.bytes} {_text(settings, name)}"

    return lines()


def _text(settings: Settings, data: bytes) -> str:
    return hexed(data) if settings.hex else quoted(data)
