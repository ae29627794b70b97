"""quota set, list and remove: bounds on what the keys below a prefix may hold.

Owns: their arguments and looks. Must never do: count; the members do, all alike.
"""

from __future__ import annotations

from collections.abc import Sequence

import click

from raftkv.api.prefix_quota_pb2 import PrefixQuota
from raftkv.cli.ctl.failure import refuse
from raftkv.cli.ctl.go_text import hexed, quoted
from raftkv.cli.ctl.json_shape import base64
from raftkv.cli.ctl.key import WORDS, raw
from raftkv.cli.ctl.output import show, table_of
from raftkv.cli.ctl.size import Size
from raftkv.cli.ctl.verb import Noun, Settings, pass_settings

_HEADERS = ("PREFIX", "KEYS", "KEYS MAX", "BYTES", "BYTES MAX")
_BOUND = click.IntRange(min=0)


@click.group("quota", cls=Noun)
def quota() -> None:
    """What the keys below a prefix may hold; the cluster's own quota is --quota-backend-bytes."""


@quota.command("list")
@pass_settings
def list_quotas(settings: Settings) -> None:
    """Every prefix that has one, what is below it, and its bounds (0 is none)."""
    _show(settings, settings.run(lambda client: client.maintenance.prefix_quotas()))


@quota.command("set")
@WORDS
@click.option(
    "--bytes", "bytes_max", type=Size(), default=0, help="of keys and newest values, as 50M"
)
@click.option("--keys", "keys_max", type=_BOUND, default=0, help="how many there may be")
@pass_settings
def set_quota(settings: Settings, words: tuple[str, ...], bytes_max: int, keys_max: int) -> None:
    """Bound what is below the prefix WORDS[0]. What is there already stays."""
    prefix = _prefix("quota set", words)
    if not bytes_max and not keys_max:
        refuse("quota set takes --bytes, --keys, or both, above 0; `quota remove` lifts them")
    _change(settings, prefix, bytes_max, keys_max)


@quota.command("remove")
@WORDS
@pass_settings
def remove_quota(settings: Settings, words: tuple[str, ...]) -> None:
    """Lift the bounds of the prefix WORDS[0]."""
    _change(settings, _prefix("quota remove", words), 0, 0)


def _prefix(verb: str, words: Sequence[str]) -> bytes:
    if len(words) != 1 or not words[0]:
        refuse(f"{verb} takes one prefix")
    return raw(words[0])


def _change(settings: Settings, prefix: bytes, bytes_max: int, keys_max: int) -> None:
    found = settings.run(
        lambda client: client.maintenance.set_prefix_quota(
            prefix, bytes_max=bytes_max, keys_max=keys_max
        )
    )
    _show(settings, found)


def _show(settings: Settings, quotas: Sequence[PrefixQuota]) -> None:
    def text(data: bytes) -> str:
        return hexed(data) if settings.hex else quoted(data)

    rows = [
        (text(one.prefix), *map(str, (one.keys, one.keys_max, one.bytes, one.bytes_max)))
        for one in quotas
    ]
    show(
        settings,
        simple=lambda: [", ".join(row) for row in rows],
        json=lambda: {
            "quotas": [
                {
                    "prefix": base64(one.prefix),
                    "keys": one.keys,
                    "keys_max": one.keys_max,
                    "bytes": one.bytes,
                    "bytes_max": one.bytes_max,
                }
                for one in quotas
            ]
        },
        table=lambda: table_of(_HEADERS, rows),
    )
