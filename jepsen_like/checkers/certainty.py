"""Which wrong reads no guess can excuse.

Owns: ``suspicious_keys``. What a key was is told again and again, by reads and by answered puts;
only revisions after the last such answer can excuse a read that does not fit it. Must never do:
say so of an answer that depends on more than one key at a time.
"""

from __future__ import annotations

from collections.abc import Iterator

from jepsen_like.checkers.evidence import Evidence
from jepsen_like.history.operation import Operation
from jepsen_like.history.request import Get
from jepsen_like.history.result import Found, KeyValue
from jepsen_like.model.keyspace import KeySpace


def suspicious_keys(
    keys: KeySpace, evidence: Evidence, operation: Operation
) -> Iterator[tuple[str, int, int]]:
    """(key, first, last): it does not fit, and only these revisions could be the reason."""
    get, found = operation.request, operation.outcome
    if not isinstance(get, Get) or not isinstance(found, Found) or get.limit:
        return
    at = get.revision or found.revision
    expected = {kv.key: kv for kv in keys.get(get, header=found.revision).kvs}
    actual = {kv.key: kv for kv in found.kvs}
    for key in sorted(expected.keys() | actual.keys()):
        right, seen = expected.get(key), actual.get(key)
        if right != seen:
            only_version = right is not None and seen is not None and _same_write(right, seen)
            yield key, evidence.settled(key, at, version=only_version) + 1, at


def _same_write(a: KeyValue, b: KeyValue) -> bool:
    return (a.value, a.mod_revision, a.lease) == (b.value, b.mod_revision, b.lease)
