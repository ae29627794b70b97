"""Where a verb's result goes: one of the formats of -w.

Owns: choosing among what a verb offers, raw bytes for keys and values, and tables that fit. Must
never do: know a verb. A format that a verb does not offer is refused as etcdctl does.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from raftkv.api.kv_pb2 import KeyValue
from raftkv.cli.ctl.failure import BAD_FEATURE, Failure
from raftkv.cli.ctl.go_text import hexed
from raftkv.cli.ctl.json_shape import text_of_json
from raftkv.cli.ctl.verb import Settings

Lines = Iterable[str | bytes]
WIDE = 10_000
"""Columns of a table that no terminal shows: nothing is cut or wrapped."""


def show(
    settings: Settings,
    *,
    simple: Callable[[], Lines] | None = None,
    fields: Callable[[], Lines] | None = None,
    table: Callable[[], Table] | None = None,
    json: Callable[[], Any] | None = None,
) -> None:
    """Print in the format asked for."""
    if settings.format == "simple" and simple is not None:
        write_lines(simple())
    elif settings.format == "fields" and fields is not None:
        write_lines(fields())
    elif settings.format == "json" and json is not None:
        write_lines([text_of_json(json())])
    elif settings.format == "table" and table is not None:
        print_table(table())
    else:
        raise Failure(f"{settings.format} not supported as output format", BAD_FEATURE)


def write_lines(lines: Lines) -> None:
    data = b"".join((x.encode() if isinstance(x, str) else x) + b"\n" for x in lines)
    sys.stdout.flush()
    sys.stdout.buffer.write(data)
    sys.stdout.buffer.flush()


def table_of(headers: Sequence[str], rows: Iterable[Sequence[object]]) -> Table:
    """As etcdctl draws them: headers in the middle, cells to the right."""
    table = Table(box=box.ASCII2, header_style="")
    for header in headers:
        table.add_column(Text(header, justify="center"), justify="right", overflow="fold")
    for row in rows:
        table.add_row(*(_cell(value) for value in row))
    return table


def print_table(table: Table) -> None:
    width = None if sys.stdout.isatty() else WIDE
    Console(width=width, highlight=False, soft_wrap=False).print(table)


def _cell(value: object) -> Text:
    return Text(str(value).lower() if isinstance(value, bool) else str(value))


def kv_simple(settings: Settings, kv: KeyValue, *, value_only: bool = False) -> list[str | bytes]:
    """The key's line and the value's."""
    key, value = (hexed(kv.key), hexed(kv.value)) if settings.hex else (kv.key, kv.value)
    return [value] if value_only else [key, value]
