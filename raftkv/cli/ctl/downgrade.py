"""downgrade validate, enable and cancel: the way back to the version before.

Owns: the verbs, and the wait until every member may be replaced. Must never do: replace one.
"""

from __future__ import annotations

import asyncio

import click

from raftkv.api import rpc_pb2 as api
from raftkv.cli.ctl.endpoint import ask_each, endpoints_of
from raftkv.cli.ctl.failure import BAD_ARGUMENTS, Failure
from raftkv.cli.ctl.json_shape import shape_of
from raftkv.cli.ctl.key import WORDS
from raftkv.cli.ctl.output import show
from raftkv.cli.ctl.verb import Noun, Settings, pass_settings
from raftkv.client import Client

LOOK_S = 0.2
"""Between two questions whether all members are ready: nothing tells a client when they are."""
READY_S_MAX = 60.0
"""A commit of each database is enough; who takes longer is away, or its disk stands still."""

_VALIDATE = api.DowngradeRequest.VALIDATE
_ENABLE = api.DowngradeRequest.ENABLE
_CANCEL = api.DowngradeRequest.CANCEL


@click.group("downgrade", cls=Noun)
def downgrade() -> None:
    """Make a cluster ready for the version before, or call that off."""


@downgrade.command("validate")
@WORDS
@pass_settings
def validate(settings: Settings, words: tuple[str, ...]) -> None:
    """Whether VERSION is one that the cluster can go back to."""
    version = _version(words)

    async def ask(client: Client) -> api.DowngradeResponse:
        return await client.maintenance.downgrade(_VALIDATE, version)

    _show(settings, settings.run(ask), "validate")


@downgrade.command("enable")
@WORDS
@pass_settings
def enable(settings: Settings, words: tuple[str, ...]) -> None:
    """Ends when every member may be stopped, and started with VERSION."""
    version = _version(words)
    answer = settings.run(lambda client: client.maintenance.downgrade(_ENABLE, version))
    settings.run(lambda client: _until_ready(settings, client), is_long=True)
    _show(settings, answer, "enable")


@downgrade.command("cancel")
@pass_settings
def cancel(settings: Settings) -> None:
    """Stay with the version that runs."""

    async def ask(client: Client) -> api.DowngradeResponse:
        return await client.maintenance.downgrade(_CANCEL)

    _show(settings, settings.run(ask), "cancel")


async def _until_ready(settings: Settings, client: Client) -> None:
    clock, told = asyncio.get_running_loop().time, list[str]()
    deadline = clock() + READY_S_MAX
    while waiting := await _not_ready(settings, client):
        if clock() >= deadline:
            raise Failure(
                f"the level is lowered, but {', '.join(waiting)} cannot be replaced after "
                f"{READY_S_MAX:g} s: bring it back or remove it, and wait until `endpoint status "
                "--cluster -w json` shows downgradeInfo of all; `downgrade cancel` calls it off"
            )
        if waiting != told:
            click.echo(f"waiting for {', '.join(waiting)}", err=True)
        told = waiting
        await asyncio.sleep(LOOK_S)


async def _not_ready(settings: Settings, client: Client) -> list[str]:
    """The members whose database could still hold what the older version does not know."""
    names = await endpoints_of(settings, client, cluster=True)
    limit_s = settings.connection.command_timeout_s
    told = await ask_each(names, limit_s, client.maintenance.status)
    return [
        one.endpoint for one in told if one.answer is None or not one.answer.downgradeInfo.enabled
    ]


def _version(words: tuple[str, ...]) -> str:
    if len(words) != 1:
        raise Failure("give one version to go back to, as in 0.1", BAD_ARGUMENTS)
    return words[0]


def _show(settings: Settings, response: api.DowngradeResponse, verb: str) -> None:
    text = f"Downgrade {verb} success, cluster version {response.version}"
    show(
        settings,
        simple=lambda: [text],
        fields=lambda: [f'"Version" : "{response.version}"'],
        json=lambda: shape_of(response),
    )
