"""The order between transactions on lists, and the anomalies of Adya in it.

Owns: the edges, and their names in words. G0 is a cycle of writes; G1c needs a read of another's
write; G-single has exactly one anti-dependency (a read that missed a write), G2 more. Each is
searched for without real time first: what needs real time breaks only strictness.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from jepsen_like.checkers.append_lists import Transaction, Version
from jepsen_like.checkers.cycles import Graph, Kind, Path, smallest_closed_by, smallest_cycle
from jepsen_like.checkers.verdict import Finding

_FORWARD = frozenset({Kind.WW, Kind.WR})
_TIME = frozenset({Kind.TIME})


def anomalies(
    transactions: Sequence[Transaction],
    orders: Mapping[str, Version],
    writers: Mapping[str, Transaction],
) -> list[Finding]:
    """The gravest kind that there is: one smallest cycle of each component."""
    graph = _graph(transactions, orders, writers)
    for time in (frozenset[Kind](), _TIME):
        for name, search in (("G0", _g0), ("G1c", _g1c), ("G-single", _g_single), ("G2", _g2)):
            title = f"{name} with real time" if time else name
            cycles = [cycle for cycle in search(graph, time) if cycle]
            if cycles:
                return [_finding(title, cycle, graph, transactions) for cycle in cycles]
    return []


def _g0(graph: Graph, time: frozenset[Kind]) -> Iterator[Path]:
    kinds = frozenset({Kind.WW}) | time
    for component in graph.components(kinds):
        yield smallest_cycle(graph, component, kinds)


def _g1c(graph: Graph, time: frozenset[Kind]) -> Iterator[Path]:
    kinds = _FORWARD | time
    for component in graph.components(kinds):
        yield smallest_closed_by(graph, component, Kind.WR, kinds)


def _g_single(graph: Graph, time: frozenset[Kind]) -> Iterator[Path]:
    for component in graph.components(_FORWARD | {Kind.RW} | time):
        yield smallest_closed_by(graph, component, Kind.RW, _FORWARD | time)


def _g2(graph: Graph, time: frozenset[Kind]) -> Iterator[Path]:
    kinds = _FORWARD | {Kind.RW} | time
    for component in graph.components(kinds):
        yield smallest_closed_by(graph, component, Kind.RW, kinds)


def _graph(
    transactions: Sequence[Transaction],
    orders: Mapping[str, Version],
    writers: Mapping[str, Transaction],
) -> Graph:
    graph = Graph()
    numbers = {id(transaction): n for n, transaction in enumerate(transactions)}
    for key, order in orders.items():
        chain = [numbers[id(writers[element])] for element in order]
        for before, after, element in zip(chain, chain[1:], order[1:], strict=False):
            graph.add(before, Kind.WW, after, f"{element} to {key}")
    for reader, transaction in enumerate(transactions):
        for key, version in transaction.reads.items():
            order, length = orders.get(key, ()), len(version)
            if length:
                writer = numbers[id(writers[version[-1]])]
                graph.add(writer, Kind.WR, reader, f"{version[-1]} of {key}")
            if length < len(order):
                writer = numbers[id(writers[order[length]])]
                graph.add(reader, Kind.RW, writer, f"{order[length]} to {key}")
    _add_real_time(graph, transactions)
    return graph


def _add_real_time(graph: Graph, transactions: Sequence[Transaction]) -> None:
    """Each instant, a node below 0, follows the returns before it and precedes the calls after.
    At equal times calls come first: such operations overlap."""
    moments = [(t.operation.called_s, 0, n) for n, t in enumerate(transactions)]
    moments += [(t.operation.returned_s, 1, n) for n, t in enumerate(transactions) if t.certain]
    instant, called_after = 0, True
    for _, is_return, number in sorted(moments):
        if not is_return:
            if instant:
                graph.add(instant, Kind.TIME, number)
            called_after = True
            continue
        if called_after:
            instant -= 1
            if instant < -1:
                graph.add(instant + 1, Kind.TIME, instant)
            called_after = False
        graph.add(number, Kind.TIME, instant)


def _finding(title: str, cycle: Path, graph: Graph, transactions: Sequence[Transaction]) -> Finding:
    names = {number: f"T{place}" for place, (number, _, _) in enumerate(cycle, 1)}
    steps = "; ".join(
        _words(names[source], kind, names[target], graph, (source, target))
        for source, kind, target in cycle
    )
    operations = tuple(transactions[number].operation for number in names)
    who = ", ".join(
        f"{name} is process {operation.process} at {operation.called_s:.3f} s"
        for name, operation in zip(names.values(), operations, strict=True)
    )
    return Finding(f"{title}: {steps} ({who})", operations)


def _words(before: str, kind: Kind, after: str, graph: Graph, ends: tuple[int, int]) -> str:
    if kind is Kind.TIME:
        return f"{before} had returned before {after} was called"
    why = graph.why(ends[0], kind, ends[1])
    match kind:
        case Kind.WW:
            return f"{after} appended {why} right after {before}'s element"
        case Kind.WR:
            return f"{after} read {why}, which {before} appended"
        case Kind.RW:
            return f"{before} read the list before {after} appended {why}"
