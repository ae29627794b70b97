"""lease grant, revoke, timetolive, list and keep-alive.

Owns: their arguments and looks. Must never do: count time.
"""

from __future__ import annotations

import asyncio

import click

from raftkv.api import rpc_pb2 as api
from raftkv.cli.ctl.failure import BAD_CONNECTION, Failure, failure_of, refuse, text_of
from raftkv.cli.ctl.fields import named_lines
from raftkv.cli.ctl.json_shape import base64, with_header_inline
from raftkv.cli.ctl.key import WORDS, lease_id
from raftkv.cli.ctl.output import show
from raftkv.cli.ctl.verb import Noun, Settings, pass_settings
from raftkv.client import Client
from raftkv.errors import LeaseNotFound, RaftKVError

RENEWALS_PER_TTL = 3


@click.group("lease", cls=Noun)
def lease() -> None:
    """Grant, revoke, ask for and renew leases."""


@lease.command("grant")
@WORDS
@pass_settings
def grant(settings: Settings, words: tuple[str, ...]) -> None:
    """A lease of WORDS[0] seconds."""
    if len(words) != 1:
        refuse("lease grant command needs TTL argument")
    try:
        ttl_s = int(words[0])
    except ValueError:
        refuse(f"bad TTL ({words[0]!r} is no whole number)")

    async def ask(client: Client) -> api.LeaseGrantResponse:
        try:
            return await client.grant(ttl_s)
        except RaftKVError as error:
            raise Failure(f"failed to grant lease ({text_of(error)})") from None

    granted = settings.run(ask)
    pairs = [("ID", granted.ID), ("TTL", granted.TTL)]
    show(
        settings,
        simple=lambda: [f"lease {granted.ID:016x} granted with TTL({granted.TTL}s)"],
        fields=lambda: named_lines(granted.header, pairs),
        json=lambda: with_header_inline(granted, ID=granted.ID, TTL=granted.TTL, Error=""),
    )


@lease.command("revoke")
@WORDS
@pass_settings
def revoke(settings: Settings, words: tuple[str, ...]) -> None:
    """End the lease WORDS[0], and delete its keys."""
    wanted = _one_id(words, "revoke")

    async def ask(client: Client) -> api.LeaseRevokeResponse:
        try:
            return await client.revoke(wanted)
        except RaftKVError as error:
            raise Failure(f"failed to revoke lease ({text_of(error)})") from None

    revoked = settings.run(ask)
    show(
        settings,
        simple=lambda: [f"lease {wanted:016x} revoked"],
        fields=lambda: named_lines(revoked.header, ()),
        json=lambda: {"header": with_header_inline(revoked)},
    )


@lease.command("timetolive")
@WORDS
@click.option("--keys", is_flag=True, help="the keys that hang on it, too")
@pass_settings
def time_to_live(settings: Settings, words: tuple[str, ...], keys: bool) -> None:
    """What is left of the lease WORDS[0]."""
    wanted = _one_id(words, "timetolive")
    left = settings.run(lambda client: client.time_to_live(wanted, keys=keys))

    def simple() -> list[bytes]:
        if left.TTL == -1:
            return [b"lease %016x already expired" % left.ID]
        text = b"lease %016x granted with TTL(%ds), remaining(%ds)" % (
            left.ID, left.grantedTTL, left.TTL,
        )  # fmt: skip
        return [text + (b", attached keys([%b])" % b" ".join(left.keys) if keys else b"")]

    pairs = [("ID", left.ID), ("TTL", left.TTL), ("GrantedTTL", left.grantedTTL)]
    attached = [base64(key) for key in left.keys] or None
    show(
        settings,
        simple=simple,
        fields=lambda: named_lines(left.header, [*pairs, *(("Key", key) for key in left.keys)]),
        json=lambda: with_header_inline(
            left, id=left.ID, ttl=left.TTL, **{"granted-ttl": left.grantedTTL}, keys=attached
        ),
    )


@lease.command("list")
@pass_settings
def list_leases(settings: Settings) -> None:
    """All leases that live."""
    found = settings.run(lambda client: client.leases())
    ids = [each.ID for each in found.leases]
    show(
        settings,
        simple=lambda: [f"found {len(ids)} leases", *(f"{each:016x}" for each in ids)],
        fields=lambda: named_lines(found.header, (("ID", each) for each in ids)),
        json=lambda: with_header_inline(found, leases=[{"id": each} for each in ids]),
    )


@lease.command("keep-alive")
@WORDS
@click.option("--once", is_flag=True, help="renew it once")
@pass_settings
def keep_alive(settings: Settings, words: tuple[str, ...], once: bool) -> None:
    """Renew the lease WORDS[0] until it ends, or until Ctrl-C."""
    wanted = _one_id(words, "keep-alive")

    async def renew(client: Client) -> None:
        renewed = await client.renew(wanted)
        while renewed.TTL:
            _show_renewed(settings, renewed)
            if once:
                return
            await asyncio.sleep(renewed.TTL / RENEWALS_PER_TTL)
            renewed = await client.renew(wanted)
        if once:
            raise failure_of(LeaseNotFound("it has ended"), BAD_CONNECTION)
        click.echo(f"lease {wanted:016x} expired or revoked.")

    try:
        settings.run(renew, is_long=not once)
    except KeyboardInterrupt:
        return


def _show_renewed(settings: Settings, renewed: api.LeaseKeepAliveResponse) -> None:
    pairs = [("ID", renewed.ID), ("TTL", renewed.TTL)]
    show(
        settings,
        simple=lambda: [f"lease {renewed.ID:016x} keepalived with TTL({renewed.TTL})"],
        fields=lambda: named_lines(renewed.header, pairs),
        json=lambda: with_header_inline(renewed, ID=renewed.ID, TTL=renewed.TTL),
    )


def _one_id(words: tuple[str, ...], verb: str) -> int:
    if len(words) != 1:
        refuse(f"lease {verb} command needs lease ID as argument")
    return lease_id(words[0], "lease ID arg")
