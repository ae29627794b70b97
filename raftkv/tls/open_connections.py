"""Open connections that stand on a certificate, and the end of those that no longer may.

Owns: the list of them, and which of them the trusted CAs or the revocation list, once they have
changed, no longer admit. Must never do: verify for the first time (``handshake`` and
``certificate_check`` have), or cut a call short where its port knows better: whoever joins says how
the connection is to end.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from cryptography import x509

from raftkv.tls.certificate_check import is_issued_by

Dismiss = Callable[[asyncio.Transport], None]


@dataclass(eq=False, frozen=True, slots=True)
class Guest:
    """One connection; ``chain`` is the other side's, its own certificate first."""

    transport: asyncio.Transport
    chain: Sequence[x509.Certificate]
    dismiss: Dismiss


class OpenConnections:
    """Those whose other side had to show a certificate. uvloop's transports take no weak
    references: closed ones are left out whenever the list has doubled, and at each look."""

    def __init__(self) -> None:
        self.dismissed = 0
        self._guests: list[Guest] = []
        self._tidy_at = 64

    def join(
        self, transport: asyncio.Transport, chain: Sequence[x509.Certificate], dismiss: Dismiss
    ) -> None:
        if not chain:
            return
        self._guests.append(Guest(transport, chain, dismiss))
        if len(self._guests) >= self._tidy_at:
            self.present()

    def present(self) -> tuple[Guest, ...]:
        """Those that are open now."""
        self._guests = [each for each in self._guests if not each.transport.is_closing()]
        self._tidy_at = max(64, 2 * len(self._guests))
        return tuple(self._guests)

    def dismiss(self, guests: Iterable[Guest]) -> None:
        for each in guests:
            if not each.transport.is_closing():
                self.dismissed += 1
                each.dismiss(each.transport)


def unwelcome(
    guests: Iterable[Guest], anchors: frozenset[x509.Certificate] | None, revoked: frozenset[int]
) -> list[Guest]:
    """Who would not get in any more. ``anchors`` None: the system's, which we do not follow. Checks
    signatures: not for the event loop."""
    return [each for each in guests if not is_welcome(each.chain, anchors, revoked)]


def is_welcome(
    chain: Sequence[x509.Certificate],
    anchors: frozenset[x509.Certificate] | None,
    revoked: frozenset[int],
) -> bool:
    """Whether a chain that was verified before still would be."""
    if any(each.serial_number in revoked for each in chain):
        return False
    if anchors is None or any(each in anchors for each in chain):
        return True
    # An authority that was renewed with its old key has another certificate and the same word.
    return any(is_issued_by(each, anchor) for each in chain for anchor in anchors)
