"""alarm list and disarm, defrag and move-leader.

Owns: their arguments and looks. Must never do: the work; members do.
"""

from __future__ import annotations

import click

from raftkv.api import rpc_pb2 as api
from raftkv.cli.ctl.endpoint import ask_each, endpoints_of
from raftkv.cli.ctl.failure import Failure
from raftkv.cli.ctl.json_shape import shape_of
from raftkv.cli.ctl.key import WORDS
from raftkv.cli.ctl.member import member_id
from raftkv.cli.ctl.output import show
from raftkv.cli.ctl.verb import Noun, Settings, Verb, pass_settings
from raftkv.client import Client
from raftkv.errors import RaftKVError


@click.group("alarm", cls=Noun)
def alarm() -> None:
    """What members say is wrong."""


@alarm.command("list")
@pass_settings
def list_alarms(settings: Settings) -> None:
    """The alarms that are raised."""

    async def ask(client: Client) -> api.AlarmResponse:
        return api.AlarmResponse(alarms=await client.maintenance.alarms())

    _show(settings, settings.run(ask))


@alarm.command("disarm")
@pass_settings
def disarm(settings: Settings) -> None:
    """Say that all of them are right again."""

    async def ask(client: Client) -> api.AlarmResponse:
        disarmed: list[api.AlarmMember] = []
        for each in await client.maintenance.alarms():
            disarmed += (await client.maintenance.disarm(each)).alarms
        return api.AlarmResponse(alarms=disarmed)

    _show(settings, settings.run(ask))


def _show(settings: Settings, response: api.AlarmResponse) -> None:
    show(
        settings,
        simple=lambda: [
            (f"memberID:{each.memberID} " if each.memberID else "")
            + f"alarm:{api.AlarmType.Name(each.alarm)} "
            for each in response.alarms
        ],
        fields=lambda: [
            line
            for each in response.alarms
            for line in (
                f'"MemberID" : {each.memberID}',
                f'"AlarmType" : {api.AlarmType.Name(each.alarm)}',
                "",
            )
        ],
        json=lambda: shape_of(response),
    )


@click.command("defrag", cls=Verb)
@click.option("--cluster", is_flag=True, help="all endpoints of the member list")
@pass_settings
def defrag(settings: Settings, cluster: bool) -> None:
    """Give free room of the members' database files back, one after the other."""

    async def ask(client: Client) -> int:
        failed = 0
        for name in await endpoints_of(settings, client, cluster=cluster):

            async def one(name: str) -> bool:
                await client.maintenance.defragment(name)
                return True

            limit_s = settings.connection.command_timeout_s
            told = (await ask_each([name], limit_s, one))[0]
            if told.answer:
                click.echo(f"Finished defragmenting etcd member[{name}]")
            else:
                text = f"Failed to defragment etcd member[{name}] ({told.error})"
                click.echo(text, err=True)
                failed += 1
        return failed

    if settings.run(ask, is_long=True):
        raise Failure("not all members were defragmented; a longer --command-timeout may do")


@click.command("move-leader", cls=Verb)
@WORDS
@pass_settings
def move_leader(settings: Settings, words: tuple[str, ...]) -> None:
    """Have the leader hand over to the member WORDS[0]."""
    target = member_id(words)

    async def ask(client: Client) -> int:
        for name in settings.connection.endpoints:
            try:
                found = await client.maintenance.status(name)
            except RaftKVError:
                continue  # another one may lead
            if found.leader == found.header.member_id:
                await client.maintenance.move_leader(target, name)
                return found.leader
        told = ", ".join(settings.connection.endpoints)
        raise Failure(f"no leader endpoint given at {told}: name the leader's in --endpoints")

    leader = settings.run(ask)
    click.echo(f"Leadership transferred from {leader:x} to {target:x}")
