"""What all verbs share: the options that stand before or after them, and how one runs.

Owns: Verb (a click command with those options), Settings, and ``run``. Must never do: know a verb.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import click

from raftkv.cli.connection import HasConnection, connection_options, variables
from raftkv.cli.ctl.failure import BAD_FEATURE, ERROR, Failure, failure_of
from raftkv.client import Client
from raftkv.errors import RaftKVError

T = TypeVar("T")

FORMATS = ("simple", "table", "json", "fields")


class Settings(HasConnection):
    """The options of `raftkv ctl`, as they stand before and after the verb."""

    def __init__(self) -> None:
        super().__init__()
        self.format = "simple"
        self.hex = False

    def run(self, work: Callable[[Client], Awaitable[T]], *, is_long: bool = False) -> T:
        """``work`` with a client; unless it ``is_long``, within --command-timeout."""
        limit_s = None if is_long else self.connection.command_timeout_s

        async def timed() -> T:
            async with self.connection.client() as client, asyncio.timeout(limit_s):
                return await work(client)

        try:
            return asyncio.run(timed())
        except TimeoutError:
            told = ", ".join(self.connection.endpoints)
            raise Failure(
                f"context deadline exceeded: no answer from {told} within {limit_s:g} s; see "
                "--endpoints and --command-timeout"
            ) from None
        except RaftKVError as error:
            raise failure_of(error) from None


class Verb(click.Command):
    """Takes the shared options too, and tells mistakes as etcdctl does."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self.params += shared_options()

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        with etcdctls_failure():
            return super().parse_args(ctx, args)


@contextmanager
def etcdctls_failure() -> Iterator[None]:
    """A mistake that click found, with etcdctl's status. A group without a verb shows its help."""
    try:
        yield
    except click.exceptions.NoArgsIsHelpError:
        raise
    except click.UsageError as error:
        raise Failure(error.format_message(), ERROR) from None


class Noun(click.Group):
    """A group of verbs: `lease grant`."""

    command_class = Verb
    group_class = type

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self.params += shared_options()

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        with etcdctls_failure():
            return super().parse_args(ctx, args)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as error:
            hint = f"; run '{ctx.command_path} --help' for usage"
            raise Failure(error.format_message().rstrip(".") + hint, ERROR) from None


def shared_options() -> list[click.Parameter]:
    return [
        *connection_options(),
        click.Option(
            ["-w", "--write-out"],
            expose_value=False,
            callback=_take_format,
            help=f"the output's format: {', '.join(FORMATS)} (default simple)",
        ),
        click.Option(
            ["--hex"],
            is_flag=True,
            expose_value=False,
            callback=_take_hex,
            help="print keys and values as hex",
        ),
    ]


def take_variables(context: click.Context) -> None:
    """What the environment says, for what the command line does not."""
    for option in shared_options():
        assert isinstance(option, click.Option), option
        assert option.name is not None, option
        for name in variables(option.name.replace("_", "-")):
            text = os.environ.get(name)
            if text and option.callback is not None:
                value = text.lower() in ("1", "true") if option.is_flag else text
                option.callback(context, option, option.type.convert(value, option, context))
                break


def _take_format(context: click.Context, option: click.Parameter, value: str | None) -> None:
    if value is not None:
        if value not in FORMATS:
            raise Failure(f"unsupported output format {value!r}: {', '.join(FORMATS)}", BAD_FEATURE)
        context.ensure_object(Settings).format = value


def _take_hex(context: click.Context, option: click.Parameter, value: bool) -> None:
    if value:
        context.ensure_object(Settings).hex = True


pass_settings = click.make_pass_decorator(Settings, ensure=True)
