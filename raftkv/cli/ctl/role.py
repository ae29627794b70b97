"""role add, delete, get, list, grant-permission and revoke-permission.

Owns: their arguments and looks. Must never do: judge a permission; the cluster does.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator

import click
from google.protobuf.message import Message

from raftkv.api import rpc_pb2 as api
from raftkv.api.auth_pb2 import Permission
from raftkv.cli.ctl.failure import refuse
from raftkv.cli.ctl.fields import field, header_lines
from raftkv.cli.ctl.json_shape import shape_of
from raftkv.cli.ctl.key import WORDS
from raftkv.cli.ctl.output import Lines, show
from raftkv.cli.ctl.verb import Noun, Settings, pass_settings
from raftkv.client import Client, prefix_end

FROM_KEY = b"\0"
_KINDS = {
    "read": Permission.READ,
    "write": Permission.WRITE,
    "readwrite": Permission.READWRITE,
}
_RANGE = (
    click.option("--prefix", is_flag=True, help="all keys that begin with KEY"),
    click.option("--from-key", is_flag=True, help="KEY and all keys after it"),
)


def ranged(command: Callable[..., None]) -> Callable[..., None]:
    for option in reversed(_RANGE):
        command = option(command)
    return command


@click.group("role", cls=Noun)
def role() -> None:
    """Roles, and what each permits."""


@role.command("add")
@WORDS
@pass_settings
def add(settings: Settings, words: tuple[str, ...]) -> None:
    """A role called WORDS[0]."""
    (name,) = counted(words, 1, "role add command requires role name as its argument")
    change(settings, lambda client: client.auth.role_add(name), f"Role {name} created")


@role.command("delete")
@WORDS
@pass_settings
def delete(settings: Settings, words: tuple[str, ...]) -> None:
    """The role WORDS[0]; its users keep their other roles."""
    (name,) = counted(words, 1, "role delete command requires role name as its argument")
    change(settings, lambda client: client.auth.role_delete(name), f"Role {name} deleted")


@role.command("get")
@WORDS
@pass_settings
def get(settings: Settings, words: tuple[str, ...]) -> None:
    """What the role WORDS[0] permits."""
    (name,) = counted(words, 1, "role get command requires role name as its argument")
    show_role(settings, name, settings.run(lambda client: client.auth.role_get(name)))


@role.command("list")
@pass_settings
def list_roles(settings: Settings) -> None:
    """All roles."""
    found = settings.run(lambda client: client.auth.role_list())
    roles = [field("Roles", name) for name in found.roles]
    show(
        settings,
        simple=lambda: found.roles,
        fields=lambda: [*header_lines(found.header), *roles],
        json=lambda: shape_of(found),
    )


@role.command("grant-permission")
@WORDS
@ranged
@pass_settings
def grant(settings: Settings, words: tuple[str, ...], prefix: bool, from_key: bool) -> None:
    """ROLE read|write|readwrite KEY [END]."""
    if len(words) < 3:
        refuse(
            "role grant command requires role name, permission type, and key [endkey] as its "
            "argument"
        )
    name, kind = words[0], _KINDS.get(words[1].lower())
    if kind is None:
        refuse(f"invalid permission type: {words[1]}")
    key, end = _range_of(words[2:], prefix=prefix, from_key=from_key)
    change(
        settings,
        lambda client: client.auth.grant_permission(name, kind, key, end),
        f"Role {name} updated",
    )


@role.command("revoke-permission")
@WORDS
@ranged
@pass_settings
def revoke(settings: Settings, words: tuple[str, ...], prefix: bool, from_key: bool) -> None:
    """ROLE KEY [END], exactly as it was granted."""
    if len(words) < 2:
        refuse("role revoke-permission command requires role name and key [endkey] as its argument")
    name = words[0]
    key, end = _range_of(words[1:], prefix=prefix, from_key=from_key)
    told = f"Permission of key {_text(key)} is revoked from role {name}"
    if end == FROM_KEY:
        told = f"Permission of range [{_text(key)}, <open ended> is revoked from role {name}"
    elif end:
        told = f"Permission of range [{_text(key)}, {_text(end)}) is revoked from role {name}"
    change(settings, lambda client: client.auth.revoke_permission(name, key, end), told)


# --- what users and auth share ------------------------------------------------------------------


def counted(words: tuple[str, ...], count: int, otherwise: str) -> tuple[str, ...]:
    if len(words) != count:
        refuse(otherwise)
    return words


def change(settings: Settings, ask: Callable[[Client], Awaitable[Message]], told: str) -> None:
    """Do it, and say so."""
    done = settings.run(ask)
    header: api.ResponseHeader = done.header  # type: ignore[attr-defined]
    show(
        settings,
        simple=lambda: [told],
        fields=lambda: header_lines(header),
        json=lambda: shape_of(done),
    )


def show_role(settings: Settings, name: str, found: api.AuthRoleGetResponse) -> None:
    show(
        settings,
        simple=lambda: _simple(name, found),
        fields=lambda: _fields(found),
        json=lambda: shape_of(found),
    )


def _simple(name: str, found: api.AuthRoleGetResponse) -> Lines:
    yield f"Role {name}"
    for title, kinds in (
        ("KV Read:", (Permission.READ, Permission.READWRITE)),
        ("KV Write:", (Permission.WRITE, Permission.READWRITE)),
    ):
        yield title
        yield from (f"\t{_shown(perm)}" for perm in found.perm if perm.permType in kinds)


def _shown(perm: Permission) -> str:
    key, end = perm.key, perm.range_end
    if not end:
        return _text(key)
    if end == FROM_KEY:
        return f"[{_text(key)}, <open ended>"
    prefix = f" (prefix {_text(key)})" if end == prefix_end(key) else ""
    return f"[{_text(key)}, {_text(end)}){prefix}"


def _fields(found: api.AuthRoleGetResponse) -> Iterator[str]:
    yield from header_lines(found.header)
    for perm in found.perm:
        yield f'"PermType" :  {Permission.Type.Name(perm.permType)}'
        yield field("Key", perm.key)
        yield field("RangeEnd", perm.range_end)


def _range_of(words: tuple[str, ...], *, prefix: bool, from_key: bool) -> tuple[bytes, bytes]:
    key = words[0].encode()
    if prefix and from_key:
        refuse("--from-key and --prefix flags are mutually exclusive")
    if len(words) > 1:
        if prefix or from_key:
            refuse("unexpected endkey argument with --prefix or --from-key flag")
        return key, words[1].encode()
    if from_key:
        return key or FROM_KEY, FROM_KEY
    if prefix:
        return (key, prefix_end(key)) if key else (FROM_KEY, FROM_KEY)
    return key, b""


def _text(key: bytes) -> str:
    return key.decode("utf-8", "replace")
