"""A history of appends to lists, as transactions.

Owns: which operation read and appended what, and the longest version of each list that anyone saw.
An append is a txn that puts the whole list, one element longer, under a compare; a list is text,
its elements parted by commas. Must never do: judge.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from jepsen_like.history.history import History
from jepsen_like.history.operation import Operation
from jepsen_like.history.parts import parts, possible
from jepsen_like.history.ranges import covers
from jepsen_like.history.request import Get, Put
from jepsen_like.history.result import Found, Unknown

Version = tuple[str, ...]


@dataclass(slots=True)
class Transaction:
    """``reads``: key to the list it saw; ``appends``: key to the list it left, its element last.
    ``certain`` is False without an answer; it counts only if someone saw its element."""

    operation: Operation
    certain: bool = True
    reads: dict[str, Version] = field(default_factory=dict)
    appends: dict[str, Version] = field(default_factory=dict)


@dataclass(slots=True)
class Lists:
    """What is known of each list: the longest version seen, and by which transaction."""

    transactions: list[Transaction]
    orders: dict[str, Version] = field(default_factory=dict)
    seen_by: dict[str, Transaction] = field(default_factory=dict)
    writers: dict[str, Transaction] = field(default_factory=dict)  # by element
    failed: dict[str, Operation] = field(default_factory=dict)  # by element


def gather(history: History, prefix: str) -> Lists:
    lists = Lists([])
    keys = {
        op.key
        for operation in history.operations
        for op in possible(operation.request)
        if not (isinstance(op, Get) and op.end) and op.key.startswith(prefix)
    }
    for operation in history.operations:
        transaction = _transaction(operation, keys)
        tried = _tried(operation, keys)
        if isinstance(operation.outcome, Unknown):
            transaction.certain, transaction.appends = False, tried
        for key, version in tried.items():
            if key in transaction.appends:
                lists.writers[version[-1]] = transaction
            else:
                lists.failed[version[-1]] = operation
        if transaction.reads or transaction.appends:
            lists.transactions.append(transaction)
    for transaction in lists.transactions:
        for key, version in versions(transaction):
            if len(version) > len(lists.orders.get(key, ())):
                lists.orders[key], lists.seen_by[key] = version, transaction
    return lists


def _transaction(operation: Operation, keys: set[str]) -> Transaction:
    """A read after the same transaction's append is no read of another's work."""
    transaction = Transaction(operation)
    for part in parts(operation):
        match part.op, part.result:
            case Put() as put, _ if put.key in keys:
                transaction.appends[put.key] = parse(put.value)
            case Get() as get, Found() as found:
                if get.revision or get.limit or get.serializable:
                    continue
                values = {kv.key: parse(kv.value) for kv in found.kvs}
                single = get.key in keys and not get.end
                ranged = (key for key in keys if get.end and covers(get.key, get.end, key))
                for key in [get.key] if single else ranged:
                    if key not in transaction.appends:
                        transaction.reads[key] = values.get(key, ())
    return transaction


def _tried(operation: Operation, keys: set[str]) -> dict[str, Version]:
    puts = (op for op in possible(operation.request) if isinstance(op, Put) and op.key in keys)
    return {put.key: parse(put.value) for put in puts}


def parse(value: str) -> Version:
    return tuple(value.split(",")) if value else ()


def versions(transaction: Transaction) -> Iterator[tuple[str, Version]]:
    """The lists that surely were: those read, and those written with an answer."""
    yield from transaction.reads.items()
    if transaction.certain:
        yield from transaction.appends.items()
