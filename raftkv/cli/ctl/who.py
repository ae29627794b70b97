"""who: the lines of access logs that tell who wrote a revision or a key.

Owns: the verb and how a line is shown. Must never do: guess: what no line tells is not found.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from raftkv.access.search import Line, Sought, certain, lines_of, with_backups
from raftkv.cli.ctl.failure import Failure
from raftkv.cli.ctl.output import show, table_of, write_lines
from raftkv.cli.ctl.verb import Settings, Verb, pass_settings

HEADERS = ("TIME", "REVISION", "METHOD", "USER", "CN", "PEER", "KEY", "CODE", "TERM", "INDEX")
SHOWN_MAX = 1_000
"""Of lines; the newest ones are shown."""


@click.command("who", cls=Verb)
@click.argument("what")
@click.option(
    "--access-log",
    "files",
    multiple=True,
    required=True,
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="a member's access log; its rotated files are read too; give those of all members",
)
@click.option("--is-key", is_flag=True, help="WHAT is a key, though it looks like a revision")
@pass_settings
def who(settings: Settings, what: str, files: tuple[Path, ...], is_key: bool) -> None:
    """Who wrote the revision or the key WHAT, by the access logs of the members (--access-log of
    `raftkv serve`). A revision stands in the log of the member that took the request."""
    is_revision = what.isdecimal() and not is_key
    sought = Sought(revision=int(what)) if is_revision else Sought(key=what.encode())
    try:
        found = certain(list(_lines(sought, files)))
    except OSError as e:
        raise Failure(f"cannot read {e.filename}: {e.strerror}") from None
    if sought.broken:
        click.echo(f"{sought.broken} lines are none of an access log", err=True)
    if sought.dropped:
        click.echo(f"the logs say that they had no room for {sought.dropped} lines", err=True)
    if not found:
        thing = f"revision {what}" if is_revision else f"key {what!r}"
        raise Failure(
            f"no line tells who wrote {thing}; was it before these logs, by a lease that ended, "
            "left out by --access-log-sample, or taken by a member whose log is not here?"
        )
    shown = found[-SHOWN_MAX:]
    show(
        settings,
        simple=lambda: map(_text, shown),
        table=lambda: table_of(HEADERS, map(_row, shown)),
        json=lambda: shown,
    )
    if len(found) > len(shown):
        write_lines([f"... and {len(found) - len(shown)} earlier ones"])


def _lines(sought: Sought, files: tuple[Path, ...]) -> Iterator[Line]:
    for path in dict.fromkeys(each for file in files for each in with_backups(file)):
        yield from sought.within(lines_of(path))


def _row(line: Line) -> list[Any]:
    return [
        line.get("ts", ""),
        line.get("revision", ""),
        str(line.get("method", "")).rpartition("/")[2],
        line.get("user", ""),
        line.get("cn", ""),
        line.get("peer", ""),
        _about(line),
        line.get("code", ""),
        line.get("term", ""),
        line.get("index", ""),
    ]


def _text(line: Line) -> str:
    time, revision, method, user, common_name, peer, about, code, term, index = _row(line)
    name = user or common_name or "nobody"
    return (
        f"{revision} {time} {method} {about} by {name} from {peer} "
        f"code={code} term={term} index={index}"
    )


def _about(line: Line) -> str:
    """A key, or a range, of which there may be more; a lease; a compaction."""
    if "lease" in line:
        return f"lease {line['lease']}"
    if "compacts" in line:
        return f"up to {line['compacts']}"
    if "key" not in line:
        return "-"
    number = int(line.get("keys_in_all", len(line.get("keys", "1"))))
    end = f"..{line['range_end']}" if line.get("range_end") else ""
    more = f" and {number - 1} more" if number > 1 else ""
    return f'"{line["key"]}"{end}{more}'
