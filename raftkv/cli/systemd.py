"""What systemd is told of a member: that it is ready, and that it is stopping (sd_notify(3)).

Owns: one datagram to the socket in NOTIFY_SOCKET. Must never do: wait, or fail a member: without
that variable nothing is sent, and what cannot be sent is one line in the log.
"""

from __future__ import annotations

import logging
import socket
from collections.abc import Mapping

from raftkv.log_fields import fields

log = logging.getLogger("raftkv.server")

READY = "READY=1"
STOPPING = "STOPPING=1"


def notify(state: str, environment: Mapping[str, str]) -> None:
    """``state`` is READY or STOPPING. A leading @ names a socket in the abstract namespace."""
    path = environment.get("NOTIFY_SOCKET", "")
    if not path:
        return
    place = f"\0{path[1:]}" if path.startswith("@") else path
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sender:
            sender.setblocking(False)
            sender.connect(place)
            sender.send(state.encode())
    except OSError as e:
        told = fields(state=state, notify_socket=path, error=str(e))
        log.warning("cannot tell systemd", extra=told)
