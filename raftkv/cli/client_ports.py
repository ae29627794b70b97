"""What each client URL serves: gRPC and HTTP on one port, or each on ports of its own.

Owns: that division, by --listen-client-http-urls, --enable-grpc-gateway, --cors and
--host-whitelist. Must never do: listen; the process does.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from raftkv.gateway.access import AccessControl
from raftkv.gateway.json_api import JsonApi
from raftkv.gateway.json_streams import JsonStreams
from raftkv.server.config import Address, ServerConfig
from raftkv.wire.service import HttpHandler, HttpStreams, Service


@dataclass(frozen=True, slots=True)
class ClientPort:
    """One address and what ``wire.listen`` is to serve on it."""

    address: Address
    services: Sequence[Service]
    http: HttpHandler | None
    http_streams: HttpStreams | None


def client_ports(
    config: ServerConfig,
    services: Sequence[Service],
    gateway: HttpHandler,
    json_api: JsonApi | None,
    names_are_users: Callable[[], bool] = lambda: False,
) -> list[ClientPort]:
    """``json_api`` is that of ``gateway``; without it there are no streams either."""
    streams = None if json_api is None else JsonStreams(services, json_api)
    access = AccessControl(config.cors, config.host_whitelist, names_are_users)

    def port(address: Address, services: Sequence[Service], *, has_http: bool) -> ClientPort:
        if not has_http:
            return ClientPort(address, services, None, None)
        is_secure = address.is_tls
        http = access.guard(gateway, is_secure=is_secure)
        if streams is None:
            return ClientPort(address, services, http, None)
        guarded = access.guard_streams(streams.for_request, is_secure=is_secure)
        return ClientPort(address, services, http, guarded)

    shared = not config.listen_client_http
    ports = [port(address, services, has_http=shared) for address in config.listen_client]
    return ports + [port(address, (), has_http=True) for address in config.listen_client_http]
