"""member list, add, remove, update and promote.

Owns: their arguments and looks, and the settings that a new member needs. Must never do: judge a
change; the cluster does.
"""

from __future__ import annotations

import asyncio

import click

from raftkv.api import rpc_pb2 as api
from raftkv.cli.ctl.failure import refuse
from raftkv.cli.ctl.fields import member_lines
from raftkv.cli.ctl.json_shape import shape_of
from raftkv.cli.ctl.key import WORDS
from raftkv.cli.ctl.output import show, table_of
from raftkv.cli.ctl.verb import Noun, Settings, pass_settings
from raftkv.client import Client

_HEADERS = ("ID", "STATUS", "NAME", "PEER ADDRS", "CLIENT ADDRS", "IS LEARNER")
SYNC_PAUSE_S = 0.05


@click.group("member", cls=Noun)
def member() -> None:
    """Who the members are, and changing that."""


@member.command("list")
@click.option("--consistency", type=click.Choice(["l", "s"]), default="l")
@pass_settings
def list_members(settings: Settings, consistency: str) -> None:
    """All members; those not started yet have no name."""
    found = settings.run(lambda client: client.cluster.members(linearizable=consistency == "l"))
    rows = [_row(one) for one in found.members]
    show(
        settings,
        simple=lambda: [", ".join(map(_plain, row)) for row in rows],
        fields=lambda: member_lines(found),
        json=lambda: shape_of(found),
        table=lambda: table_of(_HEADERS, rows),
    )


@member.command("add")
@WORDS
@click.option("--peer-urls", default="", help="where it will listen for peers, with commas")
@click.option("--learner", is_flag=True, help="without a vote, until it is promoted")
@pass_settings
def add(settings: Settings, words: tuple[str, ...], peer_urls: str, learner: bool) -> None:
    """A member called WORDS[0], which is started afterwards."""
    if len(words) != 1:
        refuse("member name not provided" if not words else "too many arguments")
    urls = _urls(peer_urls)

    async def ask(client: Client) -> tuple[api.MemberAddResponse, api.MemberListResponse]:
        added = await client.cluster.add(urls, is_learner=learner)
        while True:  # the member that answers the list may be behind
            listed = await client.cluster.members()
            if any(one.ID == added.member.ID for one in listed.members):
                return added, listed
            await asyncio.sleep(SYNC_PAUSE_S)

    added, listed = settings.run(ask)
    own = added.member.ID
    cluster = [
        f"{words[0] if own == one.ID else one.name}={url}"
        for one in listed.members
        for url in one.peerURLs
    ]
    show(
        settings,
        simple=lambda: [
            f"Member {own:16x} added to cluster {added.header.cluster_id:16x}",
            "",
            f'ETCD_NAME="{words[0]}"',
            f'ETCD_INITIAL_CLUSTER="{",".join(cluster)}"',
            f'ETCD_INITIAL_ADVERTISE_PEER_URLS="{",".join(urls)}"',
            'ETCD_INITIAL_CLUSTER_STATE="existing"',
        ],
        json=lambda: shape_of(added),
    )


@member.command("remove")
@WORDS
@pass_settings
def remove(settings: Settings, words: tuple[str, ...]) -> None:
    """Remove the member WORDS[0]."""
    wanted = member_id(words)
    done = settings.run(lambda client: client.cluster.remove(wanted))
    _show_change(settings, done, f"Member {wanted:16x} removed from cluster")


@member.command("update")
@WORDS
@click.option("--peer-urls", default="", help="where it listens for peers, with commas")
@pass_settings
def update(settings: Settings, words: tuple[str, ...], peer_urls: str) -> None:
    """Other peer URLs for the member WORDS[0]."""
    wanted, urls = member_id(words), _urls(peer_urls)
    done = settings.run(lambda client: client.cluster.update(wanted, urls))
    _show_change(settings, done, f"Member {wanted:16x} updated in cluster")


@member.command("promote")
@WORDS
@pass_settings
def promote(settings: Settings, words: tuple[str, ...]) -> None:
    """Give the learner WORDS[0] a vote."""
    wanted = member_id(words)
    done = settings.run(lambda client: client.cluster.promote(wanted))
    _show_change(settings, done, f"Member {wanted:16x} promoted in cluster")


def member_id(words: tuple[str, ...]) -> int:
    """The one word, a member's id in hexadecimal."""
    if len(words) != 1:
        refuse("member ID is not provided" if not words else "too many arguments")
    try:
        return int(words[0], 16)
    except ValueError:
        return refuse(f"bad member ID arg ({words[0]!r}), expecting ID in Hex")


def _urls(text: str) -> list[str]:
    urls = [url.strip() for url in text.split(",") if url.strip()]
    return urls or refuse("member peer urls not provided: --peer-urls=http://HOST:2380")


def _show_change(
    settings: Settings,
    done: api.MemberRemoveResponse | api.MemberUpdateResponse | api.MemberPromoteResponse,
    what: str,
) -> None:
    show(
        settings,
        simple=lambda: [f"{what} {done.header.cluster_id:16x}"],
        json=lambda: shape_of(done),
    )


def _row(one: api.Member) -> tuple[object, ...]:
    status = "started" if one.name else "unstarted"
    urls = ",".join(one.peerURLs), ",".join(one.clientURLs)
    return (f"{one.ID:x}", status, one.name, *urls, one.isLearner)


def _plain(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
