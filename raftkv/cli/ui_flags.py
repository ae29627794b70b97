"""The flags of the web page: ours, etcd has none.

Owns: those flags, and the refusal of a page that others could reach by mistake. Must never do:
listen.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from raftkv.cli.flag import Flag, parse_bool
from raftkv.errors import ConfigError
from raftkv.server.config import Address, UiSettings
from raftkv.ui.door import is_loopback

UI_FLAGS: tuple[Flag, ...] = (
    Flag(
        "listen-ui-url",
        "",
        str,
        "serve a web page of the cluster there, http://127.0.0.1:2381 say; none by default",
    ),
    Flag(
        "ui-allow-remote",
        "false",
        parse_bool,
        "let --listen-ui-url be reached from other machines: whoever reaches it may read all keys,"
        " unless auth is enabled",
        True,
    ),
    Flag(
        "ui-local-control",
        "",
        str,
        "set by `raftkv local`: its control socket, which the page's buttons speak to",
    ),
)


def ui_settings_of(values: Mapping[str, Any]) -> UiSettings:
    """Raises ConfigError."""
    url, allow_remote = str(values["listen-ui-url"]), bool(values["ui-allow-remote"])
    address = _address_of(url) if url else None
    if address is not None and not allow_remote and not is_loopback(address.host):
        raise ConfigError(
            f"--listen-ui-url {url} can be reached from other machines, and whoever reaches the "
            f"page may read all keys unless auth is enabled: use http://127.0.0.1:{address.port}, "
            f"or give --ui-allow-remote too"
        )
    return UiSettings(address, allow_remote, str(values["ui-local-control"]))


def _address_of(url: str) -> Address:
    problem = "a URL such as http://127.0.0.1:2381 is expected, http or https with host and port"
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError as e:
        raise ConfigError(f"invalid value {url!r} for --listen-ui-url: {e}") from None
    if parts.scheme not in ("http", "https") or not host or port is None:
        raise ConfigError(f"invalid value {url!r} for --listen-ui-url: {problem}")
    if parts.path not in ("", "/") or parts.query or parts.fragment:
        raise ConfigError(f"invalid value {url!r} for --listen-ui-url: no path is expected")
    return Address(host, port, parts.scheme)
