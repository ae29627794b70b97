"""etcd's refusals that depend on the store, and how to tell them by their words.

Owns: the Refused values that EtcdModel answers. A program may wrap the words (a client library
adds its own), so ``means`` looks for etcd's words inside the text.
"""

from __future__ import annotations

from jepsen_like.history.result import Outcome, Refused

COMPACTED = Refused("OUT_OF_RANGE", "mvcc: required revision has been compacted")
FUTURE = Refused("OUT_OF_RANGE", "mvcc: required revision is a future revision")
LEASE_NOT_FOUND = Refused("NOT_FOUND", "requested lease not found")
LEASE_EXISTS = Refused("FAILED_PRECONDITION", "lease already exists")
DUPLICATE_KEY = Refused("INVALID_ARGUMENT", "duplicate key given in txn request")


def means(outcome: Outcome, refusal: Refused) -> bool:
    """Whether ``outcome`` is that refusal."""
    return isinstance(outcome, Refused) and refusal.text in outcome.text
