"""Which of our processes holds the other end of a loopback connection.

Owns: the way from a port pair over /proc/net/tcp and its inode to a process. Must never do: guess:
None when no given process holds it, for example because it died meanwhile. See proc(5): addresses
are hexadecimal, an IPv4 address in the byte order of the machine.
"""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Mapping
from pathlib import Path

Endpoint = tuple[str, int]

_LOCAL, _REMOTE, _INODE = 1, 2, 9


def owner(local: Endpoint, remote: Endpoint, pids: Mapping[str, int]) -> str | None:
    """The name, of ``pids``, of the process whose socket is bound to ``local`` and connected to
    ``remote``."""
    inode = inode_of(local, remote, Path("/proc/net/tcp").read_text(encoding="ascii"))
    if inode is None:
        return None
    for name, pid in pids.items():
        if _holds(pid, inode):
            return name
    return None


def inode_of(local: Endpoint, remote: Endpoint, table: str) -> int | None:
    """The inode in a text with the form of /proc/net/tcp."""
    wanted = (_hexadecimal(local), _hexadecimal(remote))
    for line in table.splitlines()[1:]:
        fields = line.split()
        if (fields[_LOCAL], fields[_REMOTE]) == wanted:
            return int(fields[_INODE]) or None
    return None


def _holds(pid: int, inode: int) -> bool:
    wanted = f"socket:[{inode}]"
    directory = f"/proc/{pid}/fd"
    try:
        descriptors = os.listdir(directory)
    except OSError:
        return False  # it ended
    for descriptor in descriptors:
        try:
            if os.readlink(f"{directory}/{descriptor}") == wanted:
                return True
        except OSError:
            continue  # closed since it was listed
    return False


def _hexadecimal(endpoint: Endpoint) -> str:
    address, port = endpoint
    number = int.from_bytes(socket.inet_aton(address), sys.byteorder)
    return f"{number:08X}:{port:04X}"
