"""A port's certificates in use, which follow their files without a restart.

Owns: the bundle that new handshakes get, and noticing that a file has changed: every handshake
asks, by one stat of each file in a worker thread, shared by all that ask at the same time.
Must never do: touch a connection that is open, read a file on the event loop, or drop a pair that
works for one that does not: a bad or half-written file is one line in the log, and the next change
of it is tried again.
"""

from __future__ import annotations

import asyncio
import logging
import os
import ssl
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from raftkv.log_fields import fields
from raftkv.tls.contexts import caller_context, server_context
from raftkv.tls.errors import TlsError
from raftkv.tls.files import check_files, revoked_serials
from raftkv.tls.settings import TlsSettings

_log = logging.getLogger(__name__)

_Stamp = tuple[tuple[int, int, int, int, int] | None, ...]


@dataclass(frozen=True, slots=True)
class Bundle:
    """What one state of the files says."""

    server: ssl.SSLContext | None
    caller: ssl.SSLContext
    revoked: frozenset[int]


class Credentials:
    """Raises TlsError when the files cannot be used at the start. ``protocols`` are ALPN's."""

    def __init__(self, settings: TlsSettings, protocols: tuple[str, ...] = ()) -> None:
        self.settings = settings
        self.reloads = 0
        self._protocols = protocols
        self._stamp = _stamp_of(settings)
        self._bundle = self._load()
        # The last state of the files that was tried, good or bad.
        self._tried = self._stamp
        self._checking: asyncio.Future[None] | None = None
        # Its own, so that nobody's slow DNS look-up holds up a handshake.
        self._worker = ThreadPoolExecutor(1, "certificates")

    async def current(self) -> Bundle:
        """What the files say now, or what they said when they last made sense."""
        if self._checking is None:
            loop = asyncio.get_running_loop()
            self._checking = loop.run_in_executor(self._worker, self._check)
            self._checking.add_done_callback(self._checked)
        # A caller that is cut off must not take the check away from the others.
        await asyncio.shield(self._checking)
        return self._bundle

    def _checked(self, done: asyncio.Future[None]) -> None:
        self._checking = None

    def _check(self) -> None:
        """On a worker thread, one at a time."""
        stamp = _stamp_of(self.settings)
        if stamp == self._tried:
            return
        self._tried = stamp
        try:
            bundle = self._load()
        except TlsError as e:
            told = fields(error=str(e))
            _log.error("certificates cannot be loaded, the old ones stay in use", extra=told)
            return
        if _stamp_of(self.settings) != stamp:
            # Somebody is writing: what was read may be of two states. The next handshake looks.
            self._tried = ()
            return
        self._stamp = stamp
        self._bundle = bundle
        self.reloads += 1
        _log.info("certificates loaded anew", extra=fields(files=_paths(self.settings)))

    def _load(self) -> Bundle:
        settings = self.settings
        for warning in check_files(settings):
            _log.warning("a certificate needs attention", extra=fields(warning=warning))
        server = server_context(settings, self._protocols) if settings.has_pair else None
        return Bundle(server, caller_context(settings), revoked_serials(settings))


def _paths(settings: TlsSettings) -> list[str]:
    named = (
        settings.cert_file,
        settings.key_file,
        settings.client_cert_file,
        settings.client_key_file,
        settings.trusted_ca_file,
        settings.crl_file,
    )
    return [path for path in named if path]


def _stamp_of(settings: TlsSettings) -> _Stamp:
    """What changes when a file is written, replaced or linked anew; None for one that is away."""
    return tuple(_stat(path) for path in _paths(settings))


def _stat(path: str) -> tuple[int, int, int, int, int] | None:
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_mtime_ns, found.st_ctime_ns, found.st_size, found.st_ino, found.st_dev
