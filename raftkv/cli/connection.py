"""How `raftkv ctl` reaches a cluster: etcdctl's global options, once for all commands.

Owns: --endpoints and the TLS options, their variables, and the client that they ask for. Must
never do: work of a command.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import click

from raftkv.client.client import Client
from raftkv.client.tls import Tls
from raftkv.errors import ConfigError

_FILE = click.Path(dir_okay=False)
Command = TypeVar("Command", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True)
class Connection:
    """``tls`` is None when nothing of it was asked for: then a URL's scheme alone decides."""

    endpoints: tuple[str, ...]
    tls: Tls | None

    def client(self) -> Client:
        """Raises ConfigError for what is wrong with the options or their files."""
        try:
            return Client(self.endpoints, tls=self.tls)
        except (ValueError, OSError) as e:
            raise ConfigError(str(e)) from None


_OPTIONS = (
    click.option(
        "--endpoints",
        default="127.0.0.1:2379",
        show_default=True,
        envvar="ETCDCTL_ENDPOINTS",
        help="comma-separated host:port or URLs; the first is asked until it fails",
    ),
    click.option("--cacert", type=_FILE, default="", envvar="ETCDCTL_CACERT", help="CA to trust"),
    click.option("--cert", type=_FILE, default="", envvar="ETCDCTL_CERT", help="own certificate"),
    click.option("--key", type=_FILE, default="", envvar="ETCDCTL_KEY", help="its private key"),
    click.option("--tls-server-name", default="", help="what the server's certificate must be for"),
    click.option(
        "--insecure-skip-tls-verify",
        is_flag=True,
        envvar="ETCDCTL_INSECURE_SKIP_TLS_VERIFY",
        help="trust whoever answers",
    ),
)


def connection_options(command: Command) -> Command:
    """The options of a group; ``connect`` makes what they ask for."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def connect(
    endpoints: str,
    cacert: str,
    cert: str,
    key: str,
    tls_server_name: str,
    insecure_skip_tls_verify: bool,
) -> Connection:
    """Raises ConfigError."""
    names = tuple(filter(None, (name.strip() for name in endpoints.split(","))))
    try:
        tls = Tls(cacert, cert, key, tls_server_name, insecure_skip_tls_verify)
    except ValueError as e:
        raise ConfigError(str(e)) from None
    return Connection(names, tls if tls != Tls() else None)
