"""watch: events as they come, printed or handed to a command.

Owns: its options, the formats of events, and the environment of the command. Must never do: lose an
event between two members; ``raftkv.client.watch`` goes on where it was.
"""

from __future__ import annotations

import os
import shlex
import subprocess
import sys

import click

from raftkv.api import rpc_pb2 as api
from raftkv.api.kv_pb2 import Event
from raftkv.cli.ctl import fields
from raftkv.cli.ctl.failure import ERROR, Failure, refuse, text_of
from raftkv.cli.ctl.go_text import quoted
from raftkv.cli.ctl.json_shape import shape_of
from raftkv.cli.ctl.key import FROM_KEY, raw
from raftkv.cli.ctl.output import Lines, kv_simple, show
from raftkv.cli.ctl.verb import Settings, Verb, pass_settings
from raftkv.client import Client, prefix_end
from raftkv.errors import Compacted, WatchCanceled


class _WatchVerb(Verb):
    """Keeps what stands behind `--` apart: it is a command."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if "--" in args:
            at = args.index("--")
            args, ctx.meta["raftkv.command"] = args[:at], args[at + 1 :]
        return super().parse_args(ctx, args)


@click.command("watch", cls=_WatchVerb)
@click.argument("words", nargs=-1, type=click.UNPROCESSED)
@click.option("--prefix", is_flag=True, help="all keys that start with KEY")
@click.option("--rev", type=int, default=0, help="from this revision on")
@click.option("--prev-kv", is_flag=True, help="what was there before, too")
@click.option("-i", "--interactive", is_flag=True, help="read `watch KEY [END]` from stdin")
@pass_settings
@click.pass_context
def watch(
    context: click.Context, settings: Settings, words: tuple[str, ...], prefix: bool, rev: int,
    prev_kv: bool, interactive: bool,
) -> None:  # fmt: skip
    """Watch the key WORDS[0], or the range up to WORDS[1]. `-- COMMAND` runs for every event, with
    ETCD_WATCH_EVENT_TYPE, _KEY, _VALUE and _REVISION in its environment."""
    command: list[str] = context.meta.get("raftkv.command", [])
    if interactive:
        words = _asked(sys.stdin.readline())
    if not 1 <= len(words) <= 2:
        refuse("bad number of arguments: watch needs a key and an optional range_end")
    key, end = raw(words[0]), raw(words[1]) if len(words) == 2 else b""
    if prefix:
        key, end = (key, prefix_end(key)) if key else (FROM_KEY, FROM_KEY)

    async def follow(client: Client) -> None:
        watching = client.watch(key, range_end=end, start_revision=rev, prev_kv=prev_kv)
        try:
            async for response in watching:
                _tell(settings, response, command)
        except (Compacted, WatchCanceled) as error:
            click.echo(f"watch was canceled ({text_of(error)})", err=True)
            raise Failure("watch is canceled by the server", ERROR) from None

    try:
        settings.run(follow, is_long=True)
    except KeyboardInterrupt:
        return


def _asked(line: str) -> tuple[str, ...]:
    words = shlex.split(line)
    if words[:1] != ["watch"]:
        refuse(f"Invalid command {line.strip()}: `watch KEY [END]` is expected")
    return tuple(words[1:])


def _tell(settings: Settings, response: api.WatchResponse, command: list[str]) -> None:
    show(
        settings,
        simple=lambda: _simple(settings, response),
        fields=lambda: fields.watch_lines(response),
        json=lambda: _json(response),
    )
    if command:
        for event in response.events:
            subprocess.run(command, env=_environment(response, event), check=False)


def _simple(settings: Settings, response: api.WatchResponse) -> Lines:
    for event in response.events:
        yield Event.EventType.Name(event.type)
        if event.HasField("prev_kv"):
            yield from kv_simple(settings, event.prev_kv)
        yield from kv_simple(settings, event.kv)


def _json(response: api.WatchResponse) -> dict[str, object]:
    return {
        "Header": shape_of(response.header),
        "Events": [shape_of(event) for event in response.events],
        "CompactRevision": response.compact_revision,
        "Canceled": response.canceled,
        "Created": response.created,
    }


def _environment(response: api.WatchResponse, event: Event) -> dict[str, str]:
    return os.environ | {
        "ETCD_WATCH_REVISION": str(response.header.revision),
        "ETCD_WATCH_EVENT_TYPE": quoted(Event.EventType.Name(event.type)),
        "ETCD_WATCH_KEY": quoted(event.kv.key),
        "ETCD_WATCH_VALUE": quoted(event.kv.value),
    }
