"""The target of an HTTP request: its path under today's name, and its query.

Owns: both. Must never do: raise: a target comes from the client as it is.
"""

from __future__ import annotations

from urllib.parse import parse_qs

from raftkv.wire.service import HttpRequest

PREFIX = "/v3/"
BETA_PREFIX = "/v3beta/"


def path_of(target: str) -> str:
    """The path of a request under its present name, without a query. Any text has one: a target
    comes from the client as it is."""
    path = target.partition("?")[0].partition("#")[0]
    if "://" in path:  # a proxy's form of it
        path = "/" + path.partition("://")[2].partition("/")[2]
    return PREFIX + path.removeprefix(BETA_PREFIX) if path.startswith(BETA_PREFIX) else path


def query_of(request: HttpRequest) -> dict[str, list[str]]:
    return parse_qs(request.target.partition("?")[2], keep_blank_values=True)
