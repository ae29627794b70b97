"""Loopback ports that stay a member's own while it is down.

Owns: which ports are given out. Must never do: give one out twice in a process. They lie below
the range from which Linux takes ports for outgoing connections (32768 on), so that no client gets
the port of a member that was killed.
"""

from __future__ import annotations

import os
import socket

_PORTS = iter(range(14_000 + os.getpid() * 1_511 % 14_000, 32_000))


def reserve_ports(count: int) -> list[int]:
    """Ports that nothing listens on."""
    found: list[int] = []
    for port in _PORTS:
        if len(found) == count:
            return found
        if _is_free(port):
            found.append(port)
    raise RuntimeError("no free ports below 32000")


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
