"""member list, add, remove, replace, update and promote.

Owns: their arguments and looks, and the settings that a new member needs. Must never do: judge a
change; the cluster does.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import click

from raftkv.api import rpc_pb2 as api
from raftkv.api.membership_pb2 import MembershipRequest, MembershipResponse
from raftkv.cli.ctl.failure import refuse
from raftkv.cli.ctl.fields import member_lines
from raftkv.cli.ctl.json_shape import shape_of
from raftkv.cli.ctl.key import WORDS
from raftkv.cli.ctl.member_change import change_options, show_review
from raftkv.cli.ctl.output import show, table_of
from raftkv.cli.ctl.verb import Noun, Settings, pass_settings
from raftkv.client import Client

_HEADERS = ("ID", "STATUS", "NAME", "PEER ADDRS", "CLIENT ADDRS", "IS LEARNER")
SYNC_PAUSE_S = 0.05

Added = api.MemberAddResponse | MembershipResponse
_Changed = (
    api.MemberRemoveResponse
    | api.MemberUpdateResponse
    | api.MemberPromoteResponse
    | MembershipResponse
)


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
@click.option("--stay-learner", is_flag=True, help="with --learner: by hand alone, if at all")
@change_options
@pass_settings
def add(
    settings: Settings,
    words: tuple[str, ...],
    peer_urls: str,
    *,
    learner: bool,
    stay_learner: bool,
    dry_run: bool,
    unsafe: bool,
) -> None:
    """A member called WORDS[0], which is started afterwards. It votes once it has caught up."""
    if len(words) != 1:
        refuse("member name not provided" if not words else "too many arguments")
    if stay_learner and not learner:
        refuse("--stay-learner is for --learner")
    request = MembershipRequest(
        kind=MembershipRequest.ADD,
        peerURLs=_urls(peer_urls),
        is_learner=learner,
        stay_learner=stay_learner,
        unsafe=unsafe,
    )
    if dry_run:
        show_review(settings, request)
        return

    async def ask(client: Client) -> Added:
        if unsafe or stay_learner:
            return await client.cluster.change(request)
        return await client.cluster.add(request.peerURLs, is_learner=learner)

    _show_added(settings, words[0], list(request.peerURLs), ask)


@member.command("replace")
@WORDS
@click.option("--peer-urls", default="", help="where the new one will listen, with commas")
@click.option("--name", default="", help="of the new member; else made of the old one's")
@change_options
@pass_settings
def replace(
    settings: Settings,
    words: tuple[str, ...],
    peer_urls: str,
    *,
    name: str,
    dry_run: bool,
    unsafe: bool,
) -> None:
    """A new member for the member WORDS[0], which goes in the change that gives the new one its
    vote. At the same URL, for a lost disk, the old one goes at once."""
    request = MembershipRequest(
        kind=MembershipRequest.REPLACE,
        ID=member_id(words),
        peerURLs=_urls(peer_urls),
        unsafe=unsafe,
    )
    if dry_run:
        show_review(settings, request)
        return
    listed = settings.run(lambda client: client.cluster.members())
    old = next((one for one in listed.members if request.ID == one.ID), None)
    called = name or _name_after(old, request)

    async def ask(client: Client) -> Added:
        return await client.cluster.change(request)

    _show_added(settings, called, list(request.peerURLs), ask)


@member.command("remove")
@WORDS
@change_options
@pass_settings
def remove(settings: Settings, words: tuple[str, ...], *, dry_run: bool, unsafe: bool) -> None:
    """Remove the member WORDS[0]."""
    wanted = member_id(words)
    request = MembershipRequest(kind=MembershipRequest.REMOVE, ID=wanted, unsafe=unsafe)
    if dry_run:
        show_review(settings, request)
        return

    async def ask(client: Client) -> api.MemberRemoveResponse | MembershipResponse:
        if unsafe:
            return await client.cluster.change(request)
        return await client.cluster.remove(wanted)

    done = settings.run(ask)
    _show_change(settings, done, f"Member {wanted:16x} removed from cluster")


@member.command("update")
@WORDS
@click.option("--peer-urls", default="", help="where it listens for peers, with commas")
@change_options
@pass_settings
def update(
    settings: Settings, words: tuple[str, ...], peer_urls: str, *, dry_run: bool, unsafe: bool
) -> None:
    """Other peer URLs for the member WORDS[0]."""
    wanted, urls = member_id(words), _urls(peer_urls)
    request = MembershipRequest(
        kind=MembershipRequest.UPDATE, ID=wanted, peerURLs=urls, unsafe=unsafe
    )
    if dry_run:
        show_review(settings, request)
        return

    async def ask(client: Client) -> api.MemberUpdateResponse | MembershipResponse:
        if unsafe:
            return await client.cluster.change(request)
        return await client.cluster.update(wanted, urls)

    done = settings.run(ask)
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


def _name_after(old: api.Member | None, request: MembershipRequest) -> str:
    """The old one's at the same place. At another place both are there for a while, and
    --initial-cluster must tell them apart."""
    if old is None or not old.name:
        return f"{request.ID:x}-next"
    return old.name if set(old.peerURLs) & set(request.peerURLs) else f"{old.name}-next"


def _urls(text: str) -> list[str]:
    urls = [url.strip() for url in text.split(",") if url.strip()]
    return urls or refuse("member peer urls not provided: --peer-urls=http://HOST:2380")


def _show_added(
    settings: Settings, name: str, urls: list[str], ask: Callable[[Client], Awaitable[Added]]
) -> None:
    """Add, and tell what to start the new member with."""

    async def add_and_list(client: Client) -> tuple[Added, api.MemberListResponse]:
        added = await ask(client)
        while True:  # the member that answers the list may be behind
            listed = await client.cluster.members()
            if any(one.ID == added.member.ID for one in listed.members):
                return added, listed
            await asyncio.sleep(SYNC_PAUSE_S)

    added, listed = settings.run(add_and_list)
    own = added.member.ID
    cluster = [
        f"{name if own == one.ID else one.name}={url}"
        for one in listed.members
        for url in one.peerURLs
    ]
    show(
        settings,
        simple=lambda: [
            f"Member {own:16x} added to cluster {added.header.cluster_id:16x}",
            "",
            f'ETCD_NAME="{name}"',
            f'ETCD_INITIAL_CLUSTER="{",".join(cluster)}"',
            f'ETCD_INITIAL_ADVERTISE_PEER_URLS="{",".join(urls)}"',
            'ETCD_INITIAL_CLUSTER_STATE="existing"',
        ],
        json=lambda: shape_of(added),
    )


def _show_change(settings: Settings, done: _Changed, what: str) -> None:
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
