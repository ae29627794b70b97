"""How a command of ours reaches a cluster: the options of `raftkv ctl` that say so.

Owns: the options, their variables (ETCDCTL_* as etcdctl has them, RAFTKV_* before those), and the
Client that they make. Must never do: connect; the client does when it is first used.
"""

from __future__ import annotations

from dataclasses import dataclass

import click

from raftkv.cli.flag import parse_duration
from raftkv.client import Client, RetryPolicy, Tls
from raftkv.errors import ConfigError

BACKOFF_MAX_S = 0.5


@dataclass(slots=True)
class Connection:
    """What the options say."""

    endpoints: tuple[str, ...] = ("127.0.0.1:2379",)
    command_timeout_s: float = 5.0
    dial_timeout_s: float = 2.0
    cacert: str = ""
    cert: str = ""
    key: str = ""
    tls_server_name: str = ""
    insecure_skip_tls_verify: bool = False
    user: str = ""
    """Name, or name:password."""
    password: str = ""

    def client(self, *endpoints: str) -> Client:
        """For all endpoints, or only for those given. Raises ConfigError for what is wrong with
        the options or their files."""
        policy = RetryPolicy(
            timeout_s=self.command_timeout_s, tries_max=10, backoff_max_s=BACKOFF_MAX_S
        )
        try:
            return Client(
                endpoints or self.endpoints,
                policy=policy,
                tls=self._tls(),
                user=self.user.partition(":")[0],
                password=self.secret(),
            )
        except (ValueError, OSError) as e:
            raise ConfigError(str(e)) from None

    def secret(self) -> str:
        """The password, asked for if --user came without one."""
        name, colon, password = self.user.partition(":")
        if self.password or colon or not name:
            return self.password or password
        self.password = str(click.prompt("Password", hide_input=True, err=True))
        return self.password

    def _tls(self) -> Tls | None:
        """None when nothing of it was asked for: then a URL's scheme alone decides."""
        tls = Tls(
            self.cacert, self.cert, self.key, self.tls_server_name, self.insecure_skip_tls_verify
        )
        return tls if tls != Tls() else None


class Duration(click.ParamType[float]):
    """Go's durations, in seconds: 5s, 1m30s."""

    name = "duration"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        if isinstance(value, float):
            return value
        try:
            return parse_duration(str(value))
        except ValueError as e:
            self.fail(f"invalid duration {value!r}: {e}", param, ctx)


def _endpoints(text: str) -> tuple[str, ...]:
    return tuple(filter(None, (each.strip() for each in text.split(","))))


def connection_options() -> list[click.Option]:
    """Fresh ones for each command, since options stand before and after a verb."""
    return [
        _option("endpoints", "gRPC endpoints, host:port, with commas", "127.0.0.1:2379"),
        _option("command-timeout", "the longest that a short command may take", "5s", Duration()),
        _option("dial-timeout", "accepted; --command-timeout bounds it too", "2s", Duration()),
        _option("cacert", "the CA to trust, PEM", "the system's"),
        _option("cert", "own certificate, PEM", "none"),
        _option("key", "its private key, PEM", "none"),
        _option("user", "who calls, name or name:password", "nobody"),
        _option("password", "the user's password; asked for by default", "asked"),
        _option("tls-server-name", "what the server's certificate must be for", "the endpoint"),
        click.Option(
            ["--insecure-skip-tls-verify"],
            is_flag=True,
            expose_value=False,
            callback=_remember,
            help="trust whoever answers",
        ),
    ]


def _option(
    name: str, text: str, shown: str, kind: click.ParamType[float] | None = None
) -> click.Option:
    return click.Option(
        [f"--{name}"],
        type=kind,
        expose_value=False,
        callback=_remember,
        help=f"{text} (default {shown})",
    )


def variables(name: str) -> list[str]:
    """Where an option is looked for that is not given."""
    stem = name.upper().replace("-", "_")
    return [f"RAFTKV_{stem}", f"ETCDCTL_{stem}"]


def _remember(context: click.Context, option: click.Parameter, value: object) -> None:
    connection = context.ensure_object(HasConnection).connection
    if value is None or option.name is None:
        return
    if option.name == "endpoints":
        found = _endpoints(str(value))
        if not found:
            raise click.BadParameter("at least one host:port is expected")
        connection.endpoints = found
    elif option.name in ("command_timeout", "dial_timeout"):
        assert isinstance(value, float), f"{option.name} is no number of seconds: {value!r}"
        setattr(connection, f"{option.name}_s", value)
    elif value:
        setattr(connection, option.name, value)


class HasConnection:
    """The base of what a command group keeps for its commands."""

    def __init__(self) -> None:
        self.connection = Connection()
