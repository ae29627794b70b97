"""A port's certificates in use, which follow their files without a restart.

Owns: the bundle that new handshakes get, and noticing that a file has changed: every handshake
asks, by one stat of each file in a worker thread, shared by all that ask at the same time, and so
does a timer, every LOOK_S. Open connections stay, but those whose other side would not be let in
any more: ``open_connections`` ends them.
Must never do: read a file on the event loop, or drop a pair that works for one that does not: a bad
or half-written file is one line in the log, and the next change of it is tried again.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from cryptography import x509

from raftkv.file_stamp import stamp_of
from raftkv.log_fields import fields
from raftkv.tls.contexts import caller_context, server_context
from raftkv.tls.errors import TlsError
from raftkv.tls.files import Expiry, anchors_of, check_files, expiries_of, revoked_serials
from raftkv.tls.open_connections import (
    Dismiss,
    Guest,
    OpenConnections,
    is_welcome,
    unwelcome,
)
from raftkv.tls.settings import TlsSettings

LOOK_S = 5.0
"""How long a change of the files can go unseen while nobody connects."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Bundle:
    """What one state of the files says."""

    server: ssl.SSLContext | None
    caller: ssl.SSLContext
    revoked: frozenset[int]
    anchors: frozenset[x509.Certificate] | None
    """None: those of the system."""
    expiries: tuple[Expiry, ...]


class Credentials:
    """Raises TlsError when the files cannot be used at the start. ``protocols`` are ALPN's."""

    def __init__(self, settings: TlsSettings, protocols: tuple[str, ...] = ()) -> None:
        self.settings = settings
        self.reloads = 0
        self.failures = 0
        self.connections = OpenConnections()
        self.changed: Callable[[], None] = lambda: None
        """Called on the loop once changed files are in use."""
        self._protocols = protocols
        self._stamp = stamp_of(_paths(settings))
        self._bundle = self._load()
        # The last state of the files that was tried, good or bad.
        self._tried = self._stamp
        self._checking: asyncio.Future[None] | None = None
        self._reviewed = self._bundle
        self._next_look: asyncio.TimerHandle | None = None
        # Its own, so that nobody's slow DNS look-up holds up a handshake.
        self._worker = ThreadPoolExecutor(1, "certificates")

    @property
    def expiries(self) -> tuple[Expiry, ...]:
        """Of the certificates in use."""
        return self._bundle.expiries

    async def current(self) -> Bundle:
        """What the files say now, or what they said when they last made sense."""
        # A caller that is cut off must not take the check away from the others.
        await asyncio.shield(self._look(asyncio.get_running_loop()))
        return self._bundle

    def admit(
        self,
        transport: asyncio.Transport,
        chain: Sequence[x509.Certificate],
        bundle: Bundle,
        dismiss: Dismiss,
    ) -> str:
        """Take note of a connection that ``bundle`` has verified. Why not, when the files have
        changed since its handshake began; "" when it may stay."""
        now = self._bundle
        if chain and now is not bundle and not is_welcome(chain, now.anchors, now.revoked):
            return "the CA or the revocation list has changed meanwhile"
        self.connections.join(transport, chain, dismiss)
        return ""

    def _look(self, loop: asyncio.AbstractEventLoop) -> asyncio.Future[None]:
        if self._checking is None:
            self._checking = loop.run_in_executor(self._worker, self._check)
            self._checking.add_done_callback(self._checked)
        return self._checking

    def _checked(self, done: asyncio.Future[None]) -> None:
        """Back on the loop; the next look comes by itself."""
        self._checking = None
        loop = done.get_loop()
        if self._next_look is not None:
            self._next_look.cancel()
        self._next_look = loop.call_later(LOOK_S, self._look, loop)
        guests = self.connections.present()
        bundle, before = self._bundle, self._reviewed
        self._reviewed = bundle
        if bundle is not before:
            self.changed()
        if guests and (bundle.anchors, bundle.revoked) != (before.anchors, before.revoked):
            limits = (bundle.anchors, bundle.revoked)
            judged = loop.run_in_executor(self._worker, unwelcome, guests, *limits)
            judged.add_done_callback(self._judged)

    def _judged(self, done: asyncio.Future[list[Guest]]) -> None:
        found = [] if done.cancelled() else done.result()
        if found:
            text = "the CA or the revocation list no longer admits them"
            told = fields(connections=len(found), reason=text)
            _log.warning("closing connections", extra=told)
            self.connections.dismiss(found)

    def _check(self) -> None:
        """On a worker thread, one at a time."""
        stamp = stamp_of(_paths(self.settings))
        if stamp == self._tried:
            return
        self._tried = stamp
        try:
            bundle = self._load()
        except TlsError as e:
            self.failures += 1
            told = fields(error=str(e))
            _log.error("certificates cannot be loaded, the old ones stay in use", extra=told)
            return
        if stamp_of(_paths(self.settings)) != stamp:
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
        return Bundle(
            server,
            caller_context(settings),
            revoked_serials(settings),
            anchors_of(settings),
            expiries_of(settings),
        )


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
