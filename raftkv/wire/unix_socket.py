"""A unix socket to listen on: its file made, found stale, and removed.

Owns: the file. Must never do: take the place of a socket that somebody listens on, or of a file
that is no socket.
"""

from __future__ import annotations

import errno
import os
import socket
import stat

PATH_BYTES_MAX = 107
"""Linux's sun_path with its closing zero has 108."""
_BACKLOG = 1024


class UnixSocket:
    """Raises OSError, naming the path, when it cannot listen there."""

    def __init__(self, path: str) -> None:
        size = len(os.fsencode(path))
        if size > PATH_BYTES_MAX:
            text = f"the path of a unix socket has at most {PATH_BYTES_MAX} bytes, not {size}"
            raise OSError(errno.ENAMETOOLONG, f"{text}: {path}")
        self.path = os.path.abspath(path)
        _remove_stale(path)
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            self.socket.setblocking(False)
            self.socket.bind(path)
            self._identity = _identity(self.path)
            self.socket.listen(_BACKLOG)
        except OSError as e:
            self.socket.close()
            raise OSError(e.errno, f"cannot listen on {path}: {e.strerror}") from None

    def remove(self) -> None:
        """Remove the file, unless another has taken its place."""
        try:
            if _identity(self.path) == self._identity:
                os.unlink(self.path)
        except FileNotFoundError:
            pass  # somebody has cleaned up already


def _identity(path: str) -> tuple[int, int]:
    found = os.lstat(path)
    return found.st_dev, found.st_ino


def _remove_stale(path: str) -> None:
    try:
        mode = os.lstat(path).st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(mode):
        raise OSError(errno.EEXIST, f"{path} is there and no socket: move it away")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.setblocking(False)
        try:
            probe.connect(path)
        except ConnectionRefusedError:
            os.unlink(path)
            return
        except BlockingIOError:
            pass  # its queue is full: somebody listens
    raise OSError(errno.EADDRINUSE, f"another process listens on {path}")
