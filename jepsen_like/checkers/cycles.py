"""Cycles among transactions: strongly connected components, and the smallest cycle in one.

Owns: Kind, Graph and the searches, after Adya's kinds of dependency and Tarjan's components. Must
never do: know what a transaction did. A node below 0 is an instant of time, not a transaction:
"returned before it was called" then takes a number of edges linear in the operations.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from enum import Enum

_STARTS_MAX = 64  # nodes or edges of a component that a smallest cycle is searched from


class Kind(Enum):
    """Of a dependency: it says why the one comes before the other."""

    WW = "ww"
    WR = "wr"
    RW = "rw"
    TIME = "time"


Edge = tuple[int, Kind]


class Graph:
    def __init__(self) -> None:
        self._edges: dict[int, dict[tuple[int, Kind], str]] = {}

    def add(self, source: int, kind: Kind, target: int, why: str = "") -> None:
        if source != target:
            self._edges.setdefault(source, {}).setdefault((target, kind), why)

    def why(self, source: int, kind: Kind, target: int) -> str:
        return self._edges[source][target, kind]

    def only(self, kinds: frozenset[Kind]) -> Callable[[int], list[Edge]]:
        """The edges of a node that are of ``kinds``."""
        return lambda node: [edge for edge in self._edges.get(node, ()) if edge[1] in kinds]

    def components(self, kinds: frozenset[Kind]) -> list[set[int]]:
        """Those of more than one node."""
        found = _strongly_connected(list(self._edges), self.only(kinds))
        return [component for component in found if len(component) > 1]

    def edges_between(self, nodes: set[int], kind: Kind) -> Iterator[tuple[int, int]]:
        for source in sorted(nodes):
            for target, found in self._edges.get(source, ()):
                if found is kind and target in nodes:
                    yield source, target


Path = list[tuple[int, Kind, int]]


def smallest_cycle(graph: Graph, component: set[int], kinds: frozenset[Kind]) -> Path:
    """Of the fewest transactions that start at any of the first nodes of the component."""
    starts = [node for node in sorted(component) if node >= 0][:_STARTS_MAX]
    found = [_path(graph, start, start, component, kinds) for start in starts]
    return min((path for path in found if path), key=len, default=[])


def smallest_closed_by(
    graph: Graph, component: set[int], kind: Kind, kinds: frozenset[Kind]
) -> Path:
    """The smallest cycle of one edge of ``kind``, and else of ``kinds``; [] if there is none."""
    best: Path = []
    for source, target in list(graph.edges_between(component, kind))[: _STARTS_MAX * 8]:
        path = _path(graph, target, source, component, kinds)
        if path and (not best or len(path) + 1 < len(best)):
            best = [(source, kind, target), *path]
    return best


def _path(graph: Graph, start: int, goal: int, within: set[int], kinds: frozenset[Kind]) -> Path:
    """A shortest path; instants cost nothing, and are left out of what is returned."""
    edges = graph.only(kinds)
    came: dict[int, Edge] = {}
    todo = deque([start])
    while todo:
        node = todo.popleft()
        for target, kind in edges(node):
            if target not in within or target in came:
                continue
            came[target] = (node, kind)
            if target == goal:
                return _without_instants(_walk_back(came, start, goal))
            (todo.append if target >= 0 else todo.appendleft)(target)
    return []


def _walk_back(came: dict[int, Edge], start: int, goal: int) -> Path:
    path: Path = []
    node = goal
    while not path or node != start:
        before, kind = came[node]
        path.append((before, kind, node))
        node = before
    return path[::-1]


def _without_instants(path: Path) -> Path:
    short: Path = []
    source = path[0][0]
    for before, kind, after in path:
        source = before if before >= 0 else source
        if after >= 0:
            short.append((source, kind, after))
    return short


def _strongly_connected(
    nodes: Iterable[int], edges: Callable[[int], list[Edge]]
) -> Iterator[set[int]]:
    """Tarjan's algorithm, with its recursion on a list: histories are longer than the stack."""
    index: dict[int, int] = {}
    low: dict[int, int] = {}
    stack: list[int] = []
    open_nodes: set[int] = set()
    for root in nodes:
        if root in index:
            continue
        calls: list[tuple[int, Iterator[Edge]]] = []

        def enter(node: int, calls: list[tuple[int, Iterator[Edge]]] = calls) -> None:
            index[node] = low[node] = len(index)
            stack.append(node)
            open_nodes.add(node)
            calls.append((node, iter(edges(node))))

        enter(root)
        while calls:
            node, rest = calls[-1]
            step = next(rest, None)
            if step is None:
                calls.pop()
                if calls:
                    low[calls[-1][0]] = min(low[calls[-1][0]], low[node])
                if low[node] == index[node]:
                    yield _pop_component(stack, open_nodes, node)
            elif step[0] not in index:
                enter(step[0])
            elif step[0] in open_nodes:
                low[node] = min(low[node], index[step[0]])


def _pop_component(stack: list[int], open_nodes: set[int], root: int) -> set[int]:
    component = set()
    while root not in component:
        node = stack.pop()
        open_nodes.discard(node)
        component.add(node)
    return component
