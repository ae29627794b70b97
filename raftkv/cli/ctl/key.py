"""get, put, del and compaction.

Owns: their options, and the requests that they mean, which `txn` makes too. Must never do: send one
that etcdctl would have refused.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import Any

import click

from raftkv.api import rpc_pb2 as api
from raftkv.cli.ctl import fields
from raftkv.cli.ctl.failure import BAD_FEATURE, refuse
from raftkv.cli.ctl.json_shape import shape_of
from raftkv.cli.ctl.output import Lines, kv_simple, show
from raftkv.cli.ctl.verb import Settings, Verb, pass_settings
from raftkv.client import prefix_end

FROM_KEY = b"\0"
_ORDERS = {"": "NONE", "ASCEND": "ASCEND", "DESCEND": "DESCEND"}
_TARGETS = {
    "": "KEY", "CREATE": "CREATE", "KEY": "KEY", "MODIFY": "MOD", "VALUE": "VALUE",
    "VERSION": "VERSION",
}  # fmt: skip

WORDS = click.argument("words", nargs=-1, type=click.UNPROCESSED)


def raw(word: str) -> bytes:
    """A word of the command line as the bytes that were typed."""
    return os.fsencode(word)


def key_range(words: tuple[str, ...], verb: str, *, prefix: bool, from_key: bool) -> list[bytes]:
    """[key, range_end] of the words, as etcdctl reads them."""
    if prefix and from_key:
        refuse("`--prefix` and `--from-key` cannot be set at the same time, choose one")
    if not 1 <= len(words) <= 2:
        refuse(f"{verb} command needs one argument as key and an optional argument as range_end")
    if len(words) == 2:
        if prefix or from_key:
            refuse(
                "too many arguments, only accept one argument when `--prefix` or `--from-key` "
                "is set"
            )
        return [raw(words[0]), raw(words[1])]
    key = raw(words[0])
    if prefix:
        return [key, prefix_end(key)] if key else [FROM_KEY, FROM_KEY]
    return [key or FROM_KEY, FROM_KEY] if from_key else [key, b""]


def lease_id(text: str, what: str = "lease ID") -> int:
    """Leases are written in hexadecimal."""
    try:
        return int(text, 16)
    except ValueError:
        return refuse(f"bad {what} ({text!r}), expecting ID in Hex")


# --- get ---


@click.command("get", cls=Verb)
@WORDS
@click.option("--prefix", is_flag=True, help="all keys that start with KEY")
@click.option("--from-key", is_flag=True, help="all keys from KEY on")
@click.option("--limit", type=int, default=0, help="at most so many")
@click.option("--order", default="", help="ASCEND or DESCEND")
@click.option("--sort-by", default="", help="CREATE, KEY, MODIFY, VALUE or VERSION")
@click.option("--rev", type=int, default=0, help="as of this revision")
@click.option("--keys-only", is_flag=True)
@click.option("--count-only", is_flag=True, help="with -w fields or json")
@click.option("--print-value-only", is_flag=True, help="with -w simple")
@click.option("--consistency", default="l", help="l (linearizable) or s (serializable)")
@pass_settings
def get(settings: Settings, /, **options: Any) -> None:
    """Get the key WORDS[0], or the range up to WORDS[1]."""
    request = range_request(**options)
    value_only = options["print_value_only"]
    if value_only and settings.format != "simple":
        refuse("print-value-only is only for `--write-out=simple`")
    if request.count_only and settings.format not in ("fields", "json"):
        refuse("--count-only is only for `--write-out=fields` (or json)")
    response = settings.run(lambda client: client.range(request))
    show(
        settings,
        simple=lambda: range_simple(settings, response, value_only=value_only),
        fields=lambda: fields.range_lines(response),
        json=lambda: shape_of(response),
    )


def range_request(
    words: tuple[str, ...], *, prefix: bool, from_key: bool, order: str, sort_by: str,
    consistency: str, limit: int, rev: int, keys_only: bool, count_only: bool, **_: Any,
) -> api.RangeRequest:  # fmt: skip
    if keys_only and count_only:
        refuse("`--keys-only` and `--count-only` cannot be set at the same time, choose one")
    if consistency not in ("l", "s"):
        refuse(f'unknown consistency flag "{consistency}"', BAD_FEATURE)
    if order.upper() not in _ORDERS:
        refuse(f"bad sort order {order}", BAD_FEATURE)
    if sort_by.upper() not in _TARGETS:
        refuse(f"bad sort target {sort_by}", BAD_FEATURE)
    key, end = key_range(words, "get", prefix=prefix, from_key=from_key)
    return api.RangeRequest(
        key=key,
        range_end=end,
        limit=limit,
        revision=rev,
        sort_order=api.RangeRequest.SortOrder.Value(_ORDERS[order.upper()]),
        sort_target=api.RangeRequest.SortTarget.Value(_TARGETS[sort_by.upper()]),
        serializable=consistency == "s",
        keys_only=keys_only,
        count_only=count_only,
    )


def range_simple(
    settings: Settings, response: api.RangeResponse, *, value_only: bool = False
) -> Lines:
    return [line for kv in response.kvs for line in kv_simple(settings, kv, value_only=value_only)]


# --- put ---


@click.command("put", cls=Verb)
@WORDS
@click.option("--lease", default="0", help="attach the key to this lease, in hexadecimal")
@click.option("--prev-kv", is_flag=True, help="print what was there before")
@click.option("--ignore-value", is_flag=True, help="keep the value")
@click.option("--ignore-lease", is_flag=True, help="keep the lease")
@pass_settings
def put(settings: Settings, /, **options: Any) -> None:
    """Put the value WORDS[1], or what stands on stdin, under the key WORDS[0]."""
    request = put_request(read_stdin=_stdin, **options)
    response = settings.run(lambda client: client.put_request(request))
    show(
        settings,
        simple=lambda: put_simple(settings, response),
        fields=lambda: fields.put_lines(response),
        json=lambda: shape_of(response),
    )


def put_request(
    words: tuple[str, ...], *, read_stdin: Callable[[], bytes], lease: str, prev_kv: bool,
    ignore_value: bool, ignore_lease: bool,
) -> api.PutRequest:  # fmt: skip
    value = b""
    if len(words) == 2 and not ignore_value:
        value = raw(words[1])
    elif len(words) == 1 and not ignore_value:
        value = read_stdin()
    if not 1 <= len(words) <= 2 or (len(words) == 1 and not value and not ignore_value):
        refuse("put command needs 1 argument and input from stdin or 2 arguments")
    return api.PutRequest(
        key=raw(words[0]),
        value=value,
        lease=lease_id(lease),
        prev_kv=prev_kv,
        ignore_value=ignore_value,
        ignore_lease=ignore_lease,
    )


def _stdin() -> bytes:
    return b"" if sys.stdin.isatty() else sys.stdin.buffer.read()


def put_simple(settings: Settings, response: api.PutResponse) -> Lines:
    has_prev = response.HasField("prev_kv")
    return ["OK", *(kv_simple(settings, response.prev_kv) if has_prev else ())]


# --- del ---


@click.command("del", cls=Verb)
@WORDS
@click.option("--prefix", is_flag=True, help="all keys that start with KEY")
@click.option("--from-key", is_flag=True, help="all keys from KEY on")
@click.option("--prev-kv", is_flag=True, help="print what is deleted")
@click.option("--range", "is_range", is_flag=True, help="says that a range_end is meant to follow")
@pass_settings
def delete(settings: Settings, /, **options: Any) -> None:
    """Delete the key WORDS[0], or the range up to WORDS[1]."""
    request = delete_request(**options)
    response = settings.run(lambda client: client.delete_request(request))
    show(
        settings,
        simple=lambda: delete_simple(settings, response),
        fields=lambda: fields.delete_lines(response),
        json=lambda: shape_of(response),
    )


def delete_request(
    words: tuple[str, ...], *, prefix: bool, from_key: bool, prev_kv: bool, is_range: bool
) -> api.DeleteRangeRequest:
    if is_range and (len(words) != 2 or prefix or from_key):
        refuse("`--range` needs a key and a range_end, without `--prefix` and `--from-key`")
    key, end = key_range(words, "del", prefix=prefix, from_key=from_key)
    return api.DeleteRangeRequest(key=key, range_end=end, prev_kv=prev_kv)


def delete_simple(settings: Settings, response: api.DeleteRangeResponse) -> Lines:
    prev = (line for kv in response.prev_kvs for line in kv_simple(settings, kv))
    return [str(response.deleted), *prev]


# --- compaction ---


@click.command("compaction", cls=Verb)
@WORDS
@click.option("--physical", is_flag=True, help="wait until the data is gone from the disk")
@pass_settings
def compaction(settings: Settings, words: tuple[str, ...], physical: bool) -> None:
    """Forget the history before the revision WORDS[0]."""
    if len(words) != 1:
        refuse("compaction command needs 1 argument")
    try:
        revision = int(words[0])
    except ValueError:
        refuse(f"{words[0]!r} is no revision", 1)
    settings.run(lambda client: client.compact(revision, physical=physical), is_long=physical)
    click.echo(f"compacted revision {revision}")
