"""Sockets to listen on, for ports that accept by themselves.

Owns: binding every address of a name. Must never do: accept.
"""

from __future__ import annotations

import asyncio
import socket

BACKLOG = 1024


async def bound(host: str, port: int, *, reuse_port: bool = False) -> list[socket.socket]:
    """One listening socket for each address that ``host`` has. Raises OSError."""
    loop = asyncio.get_running_loop()
    rows = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    made: list[socket.socket] = []
    try:
        for family, _, _, _, address in dict.fromkeys(rows):
            one = socket.socket(family, socket.SOCK_STREAM)
            made.append(one)
            one.setblocking(False)
            one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if reuse_port:
                one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            if family == socket.AF_INET6:
                one.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            _bind(one, address)
            one.listen(BACKLOG)
    except OSError:
        for one in made:
            one.close()
        raise
    return made


def _bind(one: socket.socket, address: tuple[object, ...]) -> None:
    try:
        one.bind(address)
    except OSError as e:
        raise OSError(
            e.errno, f"cannot bind {address[0]} port {address[1]}: {e.strerror}"
        ) from None
