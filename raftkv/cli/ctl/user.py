"""user add, delete, get, list, passwd, grant-role and revoke-role; auth enable, disable and status.

Owns: their arguments and looks, and asking for passwords. Must never do: print one.
"""

from __future__ import annotations

import sys

import click

from raftkv.api import rpc_pb2 as api
from raftkv.cli.ctl.failure import BAD_ARGUMENTS, Failure, refuse
from raftkv.cli.ctl.fields import field, header_lines
from raftkv.cli.ctl.json_shape import shape_of
from raftkv.cli.ctl.key import WORDS
from raftkv.cli.ctl.output import show
from raftkv.cli.ctl.role import change, counted, show_role
from raftkv.cli.ctl.verb import Noun, Settings, pass_settings
from raftkv.client import Client

ROOT = "root"
_INTERACTIVE = click.option(
    "--interactive",
    type=bool,
    default=True,
    help="ask twice on the terminal; false reads one line of stdin",
)


@click.group("user", cls=Noun)
def user() -> None:
    """Users, their passwords and their roles."""


@user.command("add")
@WORDS
@click.option("--new-user-password", default="", help="instead of being asked")
@click.option("--no-password", is_flag=True, help="known by a client certificate's name only")
@_INTERACTIVE
@pass_settings
def add(
    settings: Settings,
    words: tuple[str, ...],
    new_user_password: str,
    no_password: bool,
    interactive: bool,
) -> None:
    """A user called WORDS[0], or NAME:PASSWORD."""
    (word,) = counted(words, 1, "user add command requires user name as its argument")
    name, colon, password = (word, "", "") if new_user_password else word.partition(":")
    if not name:
        refuse("empty user name is not allowed")
    given: str | None = new_user_password or password
    if no_password:
        given = None
    elif not new_user_password and not colon:
        given = _asked(name, interactive=interactive)
    change(settings, lambda client: client.auth.user_add(name, given), f"User {name} created")


@user.command("delete")
@WORDS
@pass_settings
def delete(settings: Settings, words: tuple[str, ...]) -> None:
    """The user WORDS[0]."""
    (name,) = counted(words, 1, "user delete command requires user name as its argument")
    change(settings, lambda client: client.auth.user_delete(name), f"User {name} deleted")


@user.command("get")
@WORDS
@click.option("--detail", is_flag=True, help="what its roles permit, too")
@pass_settings
def get(settings: Settings, words: tuple[str, ...], detail: bool) -> None:
    """The roles of the user WORDS[0]."""
    (name,) = counted(words, 1, "user get command requires user name as its argument")

    async def ask(
        client: Client,
    ) -> tuple[api.AuthUserGetResponse, list[tuple[str, api.AuthRoleGetResponse]]]:
        found = await client.auth.user_get(name)
        wanted = found.roles if detail else ()
        return found, [(each, await client.auth.role_get(each)) for each in wanted]

    found, roles = settings.run(ask)
    if detail:
        click.echo(f"User: {name}")
        for each, permits in roles:
            click.echo()
            show_role(settings, each, permits)
        return
    show(
        settings,
        simple=lambda: [f"User: {name}", " ".join(("Roles:", *found.roles))],
        json=lambda: shape_of(found),
    )


@user.command("list")
@pass_settings
def list_users(settings: Settings) -> None:
    """All users."""
    found = settings.run(lambda client: client.auth.user_list())
    show(settings, simple=lambda: found.users, json=lambda: shape_of(found))


@user.command("passwd")
@WORDS
@_INTERACTIVE
@pass_settings
def passwd(settings: Settings, words: tuple[str, ...], interactive: bool) -> None:
    """Another password for the user WORDS[0]."""
    (name,) = counted(words, 1, "user passwd command requires user name as its argument")
    password = _asked(name, interactive=interactive)
    change(
        settings,
        lambda client: client.auth.user_change_password(name, password),
        "Password updated",
    )


@user.command("grant-role")
@WORDS
@pass_settings
def grant_role(settings: Settings, words: tuple[str, ...]) -> None:
    """USER ROLE."""
    otherwise = "user grant command requires user name and role name as its argument"
    name, role = counted(words, 2, otherwise)
    change(
        settings,
        lambda client: client.auth.user_grant_role(name, role),
        f"Role {role} is granted to user {name}",
    )


@user.command("revoke-role")
@WORDS
@pass_settings
def revoke_role(settings: Settings, words: tuple[str, ...]) -> None:
    """USER ROLE."""
    otherwise = "user revoke-role requires user name and role name as its argument"
    name, role = counted(words, 2, otherwise)
    change(
        settings,
        lambda client: client.auth.user_revoke_role(name, role),
        f"Role {role} is revoked from user {name}",
    )


def _asked(name: str, *, interactive: bool) -> str:
    if not interactive:
        return sys.stdin.readline().rstrip("\n")
    first = click.prompt(f"Password of {name}", hide_input=True, err=True)
    if first != click.prompt(
        f"Type password of {name} again for confirmation", hide_input=True, err=True
    ):
        raise Failure("given passwords are different", BAD_ARGUMENTS)
    return str(first)


# --- auth ---------------------------------------------------------------------------------------


@click.group("auth", cls=Noun)
def auth() -> None:
    """Whether users and roles count."""


@auth.command("enable")
@pass_settings
def enable(settings: Settings) -> None:
    """From now on calls need a user. The user root gets the role root if it lacks it."""

    async def ask(client: Client) -> api.AuthEnableResponse:
        users = (await client.auth.user_list()).users
        if ROOT in users and ROOT not in (await client.auth.user_get(ROOT)).roles:
            if ROOT not in (await client.auth.role_list()).roles:
                await client.auth.role_add(ROOT)
            await client.auth.user_grant_role(ROOT, ROOT)
        return await client.auth.enable()

    change(settings, ask, "Authentication Enabled")


@auth.command("disable")
@pass_settings
def disable(settings: Settings) -> None:
    """Everybody may do everything again."""
    change(settings, lambda client: client.auth.disable(), "Authentication Disabled")


@auth.command("status")
@pass_settings
def status(settings: Settings) -> None:
    """Whether it is enabled, and the revision of users and roles."""
    found = settings.run(lambda client: client.auth.status())
    word = str(found.enabled).lower()
    pairs = [field("Enabled", found.enabled), field("AuthRevision", found.authRevision)]
    show(
        settings,
        simple=lambda: [f"Authentication Status: {word}", f"AuthRevision: {found.authRevision}"],
        fields=lambda: [*header_lines(found.header), *pairs],
        json=lambda: shape_of(found),
    )
