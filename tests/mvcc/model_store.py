"""The key space as a dictionary of versions: slow, short, and plainly right.

Owns: ModelStore, the oracle of the property tests. It shares no code with raftkv.mvcc but the
question and answer values.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from raftkv.mvcc.query import KeyValue, RangeQuery, SortOrder, SortTarget


@dataclass(frozen=True)
class Change:
    """One event: ``kv`` is None for a delete."""

    key: bytes
    revision: int
    sub: int
    kv: KeyValue | None
    prev: KeyValue | None


@dataclass
class ModelStore:
    revision: int = 1
    compacted: int = -1
    changes: list[Change] = field(default_factory=list)

    def at(self, revision: int) -> dict[bytes, KeyValue]:
        """Every live key at a revision."""
        live: dict[bytes, KeyValue] = {}
        for change in self.changes:
            if change.revision > revision:
                break
            if change.kv is None:
                live.pop(change.key, None)
            else:
                live[change.key] = change.kv
        return live

    def apply(self, ops: list[tuple[str, bytes, bytes]]) -> None:
        """One txn of ("put", key, value) and ("delete", key, range_end)."""
        main, sub = self.revision + 1, 0
        live = self.at(self.revision)
        for kind, key, argument in ops:
            if kind == "put":
                before = live.get(key)
                kv = KeyValue(
                    key,
                    before.create_revision if before else main,
                    main,
                    before.version + 1 if before else 1,
                    argument,
                )
                live[key] = kv
                self.changes.append(Change(key, main, sub, kv, before))
                sub += 1
                continue
            for doomed in sorted(k for k in live if in_range(k, key, argument)):
                self.changes.append(Change(doomed, main, sub, None, live.pop(doomed)))
                sub += 1
        if sub:
            self.revision = main

    def range(self, query: RangeQuery) -> tuple[list[KeyValue], int, bool]:
        live = self.at(query.revision if query.revision > 0 else self.revision)
        found = [live[k] for k in sorted(live) if in_range(k, query.key, query.range_end)]
        count = len(found)
        if query.count_only:
            return [], count, False
        found = [kv for kv in found if passes(kv, query)]
        no_filter = count == len(found) and not filters(query)
        target, order = query.sort_target, query.sort_order
        if order is SortOrder.NONE and target is not SortTarget.KEY and no_filter and query.limit:
            found = found[: query.limit + 1]
        if order is not SortOrder.NONE or target is not SortTarget.KEY:
            found.sort(key=lambda kv: sort_key(kv, target), reverse=order is SortOrder.DESCEND)
        more = 0 < query.limit < len(found)
        if query.limit > 0:
            found = found[: query.limit]
        if query.keys_only:
            found = [
                KeyValue(kv.key, kv.create_revision, kv.mod_revision, kv.version) for kv in found
            ]
        return found, count, more


def in_range(key: bytes, start: bytes, end: bytes) -> bool:
    if not end:
        return key == start
    return key >= start and (end == b"\0" or key < end)


def filters(query: RangeQuery) -> bool:
    return bool(
        query.min_mod_revision
        or query.max_mod_revision
        or query.min_create_revision
        or query.max_create_revision
    )


def passes(kv: KeyValue, query: RangeQuery) -> bool:
    return (
        kv.mod_revision >= query.min_mod_revision
        and (not query.max_mod_revision or kv.mod_revision <= query.max_mod_revision)
        and kv.create_revision >= query.min_create_revision
        and (not query.max_create_revision or kv.create_revision <= query.max_create_revision)
    )


def sort_key(kv: KeyValue, target: SortTarget) -> bytes | int:
    return {
        SortTarget.KEY: kv.key,
        SortTarget.VERSION: kv.version,
        SortTarget.CREATE: kv.create_revision,
        SortTarget.MOD: kv.mod_revision,
        SortTarget.VALUE: kv.value,
    }[target]
