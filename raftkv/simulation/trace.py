"""What happened, as one number: two runs of one seed must come to the same.

Owns: Trace. Must never do: look at anything that may differ between equal runs, such as an
object's address or the order of a set.
"""

from __future__ import annotations

import hashlib

from raftkv.simulation.clock import Callback
from raftkv.simulation.machine import Machine


class Trace:
    """``digest`` covers when what ran where, and where it left the member."""

    def __init__(self) -> None:
        self._hash = hashlib.blake2b(digest_size=8)

    def note(self, at: float, machine: Machine, callback: Callback) -> None:
        name = getattr(callback, "__qualname__", type(callback).__name__)
        process = machine.process
        state = ""
        if process is not None:
            node = process.member.node
            applied = process.member.applied_index
            state = f"{node.term}/{node.last_index}/{node.commit_index}/{applied}"
        self._hash.update(f"{at!r} {machine.name} {name} {state}\n".encode())

    def note_text(self, text: str) -> None:
        self._hash.update(text.encode())

    @property
    def digest(self) -> str:
        return self._hash.hexdigest()
