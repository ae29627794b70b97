"""lock and elect: hold something while a command runs, or until Ctrl-C.

Owns: their options, the command's environment and its exit status. Must never do: let a command run
on when the lease is lost.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Coroutine
from typing import Any

import click

from raftkv.api import rpc_pb2 as api
from raftkv.api.kv_pb2 import KeyValue
from raftkv.cli.ctl import fields
from raftkv.cli.ctl.failure import refuse
from raftkv.cli.ctl.json_shape import shape_of
from raftkv.cli.ctl.key import range_simple, raw
from raftkv.cli.ctl.output import show
from raftkv.cli.ctl.verb import Settings, Verb, pass_settings
from raftkv.client import Client, HeldLock

END_GRACE_S = 5.0
"""How long a command gets to end once the lock is lost."""


class _CommandVerb(Verb):
    """The first word that is no option ends the options: what follows is a command's."""

    allow_interspersed_args = True

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if "--" in args:
            at = args.index("--")
            args, ctx.meta["raftkv.command"] = args[:at], args[at + 1 :]
        return super().parse_args(ctx, args)


@click.command("lock", cls=_CommandVerb)
@click.argument("words", nargs=-1, type=click.UNPROCESSED)
@click.option("--ttl", type=int, default=10, help="seconds until the lock is free if we die")
@pass_settings
@click.pass_context
def lock(context: click.Context, settings: Settings, words: tuple[str, ...], ttl: int) -> None:
    """Hold the lock WORDS[0] until Ctrl-C, or while the command behind it runs: with ETCD_LOCK_KEY
    and ETCD_LOCK_REV in its environment, and its exit status as ours."""
    command = [*words[1:], *context.meta.get("raftkv.command", [])]
    if not words:
        refuse("lock takes a lock name argument and an optional command to execute")

    async def hold(client: Client) -> int:
        async with client.lock(raw(words[0]), ttl) as held:
            if command:
                return await _run(command, held)
            await _show_key(settings, client, held.key)
            await asyncio.get_running_loop().create_future()
        return 0

    sys.exit(_until_signal(settings, hold))


@click.command("elect", cls=Verb)
@click.argument("words", nargs=-1, type=click.UNPROCESSED)
@click.option("-l", "--listen", is_flag=True, help="only tell who leads, and who follows")
@click.option("--ttl", type=int, default=10, help="seconds until others may lead if we die")
@pass_settings
def elect(settings: Settings, words: tuple[str, ...], listen: bool, ttl: int) -> None:
    """Stand in the election WORDS[0] with the proposal WORDS[1], or listen to it."""
    if listen and len(words) != 1:
        refuse("elect takes one election name argument with --listen")
    if not listen and len(words) != 2:
        refuse("elect takes one election name argument and a proposal")

    async def stand(client: Client) -> int:
        election = client.election(raw(words[0]))
        if listen:
            async for kv in election.observe():
                _show_leader(settings, kv)
        async with election.campaign(raw(words[1]), ttl) as leadership:
            await _show_key(settings, client, leadership.held.key)
            await asyncio.get_running_loop().create_future()
        return 0

    sys.exit(_until_signal(settings, stand))


def _until_signal(settings: Settings, work: Any) -> int:
    """Ctrl-C and SIGTERM let go in order, as leaving does."""

    async def run(client: Client) -> int:
        doing: asyncio.Task[int] = asyncio.ensure_future(_as_coroutine(work(client)))
        loop = asyncio.get_running_loop()
        asked: list[int] = []

        def stop(number: int) -> None:
            asked.append(number)
            doing.cancel()

        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, stop, number)
        try:
            return await doing
        except asyncio.CancelledError:
            if not asked:
                raise
            return 0

    return settings.run(run, is_long=True)


async def _as_coroutine(work: Coroutine[Any, Any, int]) -> int:
    return await work


async def _run(command: list[str], held: HeldLock) -> int:
    environment = os.environ | {
        "ETCD_LOCK_KEY": os.fsdecode(held.key),
        "ETCD_LOCK_REV": str(held.revision),
    }
    try:
        process = await asyncio.create_subprocess_exec(*command, env=environment)
    except OSError as error:
        refuse(f"cannot run {command[0]}: {error.strerror}", 1)
    try:
        status = await process.wait()
    except asyncio.CancelledError:
        process.terminate()
        try:
            async with asyncio.timeout(END_GRACE_S):
                await process.wait()
        except TimeoutError:
            process.kill()
        raise
    if status:
        click.echo(f"Error: exit status {status}", err=True)
    return status if status >= 0 else 128 - status


async def _show_key(settings: Settings, client: Client, key: bytes) -> None:
    response = await client.range(api.RangeRequest(key=key))
    if settings.format == "simple" and response.kvs and not response.kvs[0].value:
        click.echo(response.kvs[0].key)
        return
    _show(settings, response)


def _show_leader(settings: Settings, kv: KeyValue) -> None:
    _show(settings, api.RangeResponse(kvs=[kv], count=1))


def _show(settings: Settings, response: api.RangeResponse) -> None:
    show(
        settings,
        simple=lambda: range_simple(settings, response),
        fields=lambda: fields.range_lines(response),
        json=lambda: shape_of(response),
    )
