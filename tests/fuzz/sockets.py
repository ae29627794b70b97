"""Plays a session to a port over TCP, to its end.

Owns: the socket, and when a session is over: the streams that it opened have ended, or the other
side hung up. Must never do: judge answers.
"""

from __future__ import annotations

import socket
from contextlib import suppress

from raftkv.wire import frames
from tests.fuzz.campaign import Session

HANG_SECONDS = 40.0
"""Nothing takes longer: calls have a timeout of less than a second, and who says much behind a
JSON call that waits has 30."""
SILENCE_SECONDS = 0.4


def play(address: tuple[str, int], session: Session) -> str:
    """Say everything, read until the other side is done; empty when it was, else what hung."""
    with socket.create_connection(address, timeout=HANG_SECONDS) as line:
        try:
            for piece in session:
                line.sendall(piece)
            line.sendall(_LAST_PING if session[0] == frames.PREFACE else b"")
        except OSError:
            return ""  # hung up on already: that is an answer
        return _read(line, is_http2=session[0] == frames.PREFACE)


_LAST_PING = frames.ping(b"fuzz-end", ack=False)
_LAST_ACK = frames.ping(b"fuzz-end", ack=True)


def _read(line: socket.socket, *, is_http2: bool) -> str:
    try:
        if is_http2:
            _listen(line)
        line.settimeout(HANG_SECONDS)
        line.shutdown(socket.SHUT_WR)
        while line.recv(1 << 16):
            pass
    except TimeoutError:
        return f"no end within {HANG_SECONDS:g} s of our own"
    except OSError:
        return ""  # a reset is a way to hang up
    return ""


def _listen(line: socket.socket) -> None:
    """Until the last ping is back and some silence, or a longer one: a session that ends within a
    frame has swallowed the ping. A silence that is too short costs nothing but answers unread."""
    answered = b""
    line.settimeout(SILENCE_SECONDS)
    with suppress(TimeoutError):
        while data := line.recv(1 << 16):
            answered = (answered + data)[-1_000:]
            if _LAST_ACK in answered:
                line.settimeout(SILENCE_SECONDS / 10)
