"""Who listens at a peer URL: asked before a member is given that URL.

Owns: one question in a bounded time (``peer.http`` has the bound), and telling apart nobody,
somebody else, TLS where none was expected, and the reverse. Must never do: judge; nor take a name
that is not known for a mistake: a pod that does not exist yet has none.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Sequence

from raftkv.peer.finding import Finding
from raftkv.peer.http import ASK_TIMEOUT_S, Fetched, fetch
from raftkv.peer.sockets import PeerSockets, host_and_port, is_tls

PATH = "/members"
SHOWN_BYTES_MAX = 16


async def probe_all(sockets: PeerSockets, urls: Sequence[str]) -> list[Finding]:
    """One finding for each of ``urls``, all asked at once."""
    return list(await asyncio.gather(*(probe(sockets, url) for url in urls)))


async def probe(sockets: PeerSockets, url: str) -> Finding:
    try:
        fetched = await fetch(sockets, "GET", url, PATH)
    except TimeoutError:
        return Finding(silence=f"nothing answers within {ASK_TIMEOUT_S:g} s")
    except (ConnectionRefusedError, socket.gaierror) as e:
        return Finding(silence=f"nothing answers: {e.strerror or e}")
    except (ConnectionResetError, ConnectionAbortedError, BrokenPipeError):
        return await _of_a_closed_connection(sockets, url)
    except ConnectionError as e:  # what PeerSockets makes of a handshake that failed
        return Finding(strange=str(e))
    except OSError as e:
        return Finding(silence=f"nothing answers: {e.strerror or e}")
    return await _of(sockets, url, fetched)


async def _of(sockets: PeerSockets, url: str, fetched: Fetched) -> Finding:
    answer = fetched.answer
    if answer is not None:
        return Finding(answer.status, answer.body, answer.headers)
    if not fetched.data:
        return await _of_a_closed_connection(sockets, url)
    return Finding(strange=f"it answers GET {PATH} with {fetched.data[:SHOWN_BYTES_MAX]!r}...")


async def _of_a_closed_connection(sockets: PeerSockets, url: str) -> Finding:
    """So ends plain text at a port that expects TLS, and the reverse; but also what a balancer
    without members does."""
    host, port = host_and_port(url)
    if is_tls(url):
        if await _speaks_plainly(sockets, url.replace("https://", "http://", 1)):
            return Finding(strange="it speaks no TLS, and the URL says https; is it http?")
    elif await _speaks_tls(host, port):
        return Finding(strange="it speaks TLS, and the URL says http; is it https?")
    return Finding(silence="whoever listens ends the connection without a word")


async def _speaks_plainly(sockets: PeerSockets, url: str) -> bool:
    try:
        return bool((await fetch(sockets, "GET", url, PATH)).data)
    except (OSError, TimeoutError):
        return False


async def _speaks_tls(host: str, port: int) -> bool:
    """Whether anything of TLS comes back; nobody is believed or told anything."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    try:
        async with asyncio.timeout(ASK_TIMEOUT_S):
            _, writer = await asyncio.open_connection(host, port, ssl=context)
            writer.close()
    except ssl.SSLError as e:
        return "alert" in str(e).lower()
    except (OSError, TimeoutError):
        return False
    return True
