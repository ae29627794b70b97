"""Opening an image as a member would after the power came back, and judging what it holds.

Owns: the promises: it opens; it holds the state after some number of the script's requests, all
that were acknowledged among them, at their revisions and with the history that compaction left; on
every member the same, and by HashKV the same as a replay from scratch; it goes on, and what it
then acknowledges survives a kill. Must never do: repair an image.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

from jepsen_like.history.request import Put, Request
from jepsen_like.images.filesystem import Image
from jepsen_like.images.keyspace import Row, Rows, State, states_after
from jepsen_like.images.performer import make_cluster
from jepsen_like.images.proposal import encode, revision_of
from raftkv.errors import RaftKVError
from raftkv.mvcc.codec import decode_row, rows_of
from raftkv.mvcc.query import RangeQuery
from raftkv.mvcc.store import Store
from raftkv.simulation.cluster import SimulatedCluster

WITHIN_S = 60.0
AFTERWARDS = Put("afterwards", "written on the image")


class Violation(Exception):
    """A promise that an image breaks, in words."""


class Judge:
    """``scratch`` is a directory of the judge's own; a RAM disk will do, since the cut is past."""

    def __init__(self, requests: Sequence[Request], *, members: int, scratch: Path) -> None:
        self._members = members
        self._scratch = scratch
        self._states = states_after(requests)
        self._hashes = _replayed_hashes(requests, self._states, scratch / "reference")

    def judge(self, image: Image, *, acknowledged: int, sent: int, again: bool = False) -> None:
        """Raises Violation. The first ``acknowledged`` requests must be there, and of the others
        up to ``sent`` the first few may. ``again`` kills and opens the members once more."""
        directory = self._scratch / "image"
        materialise(image, directory)
        cluster = make_cluster(directory, self._members, seed=1)
        try:
            self._judge(cluster, acknowledged, sent, again=again)
        finally:
            cluster.stop_all()
            shutil.rmtree(directory)

    def _judge(
        self, cluster: SimulatedCluster, acknowledged: int, sent: int, *, again: bool
    ) -> None:
        _start(cluster)
        found = self._common_state(cluster)
        done = self._match(found, acknowledged, sent)
        _check_hashes(cluster, self._hashes[done])
        revision = write(cluster, AFTERWARDS)
        if revision != found.revision + 1:
            raise Violation(f"a put got revision {revision} after revision {found.revision}")
        if again:
            cluster.stop_all()
            _start(cluster)
            row = Row(AFTERWARDS.value, revision, revision, 1)
            if dict(self._common_state(cluster).rows) != {**found.rows, AFTERWARDS.key: row}:
                raise Violation("what was acknowledged on the image is gone after a kill")

    def _common_state(self, cluster: SimulatedCluster) -> State:
        states = [read_state(m.member.store) for m in cluster.running]
        if any(state != states[0] for state in states):
            raise Violation("the members hold different states")
        return states[0]

    def _match(self, found: State, acknowledged: int, sent: int) -> int:
        """After how many requests the script's state was the one found."""
        for done in range(acknowledged, sent + 1):
            if _readable(self._states[done]) == found:
                return done
        due = self._states[acknowledged]
        for done, state in enumerate(self._states):
            if _readable(state) == found:
                raise Violation(
                    f"it holds the first {done} requests; {acknowledged} were acknowledged "
                    f"and {sent} sent"
                )
        raise Violation(
            f"it holds no state of the script: revision {found.revision} (compacted at "
            f"{found.compact_revision}) where {due.revision} was acknowledged: "
            f"{_difference(found, self._states[acknowledged : sent + 1])}"
        )


def materialise(image: Image, directory: Path) -> None:
    """Write an image to ``directory``, which must not exist."""
    directory.mkdir(parents=True)
    for path in sorted(image):
        content = image[path]
        if content is None:
            (directory / path).mkdir()
        else:
            (directory / path).write_bytes(content)


def write(cluster: SimulatedCluster, request: Request) -> int:
    """Through the leader; the revision of the answer. Raises Violation."""
    leader = cluster.wait_for_leader(WITHIN_S).running
    outcomes: list[bytes | RaftKVError] = []
    leader.member.propose(*encode(request), outcomes.append)
    cluster.scheduler.run_until(lambda: bool(outcomes), within_s=WITHIN_S)
    if not outcomes or isinstance(outcomes[0], RaftKVError):
        raise Violation(f"it does not go on: {outcomes or 'no answer'} to {request}")
    return revision_of(request, outcomes[0])


def read_state(store: Store) -> State:
    """All that is readable: the rows at every revision from the compacted one on."""
    first = max(store.compact_revision, 1)
    return State(
        store.current_revision,
        store.compact_revision,
        {r: _rows(store, r) for r in range(first, store.current_revision + 1)},
    )


def _rows(store: Store, revision: int) -> Rows:
    result = store.range(RangeQuery(b"\0", b"\0", revision=revision))
    rows: dict[str, Row] = {}
    for row in rows_of(result.pieces):
        kv = decode_row(row)
        rows[kv.key.decode()] = Row(
            kv.value.decode(), kv.create_revision, kv.mod_revision, kv.version
        )
    return rows


def _start(cluster: SimulatedCluster) -> None:
    """Raises Violation unless all members start, agree, and apply what they have."""
    try:
        cluster.start_all()
    except (RaftKVError, OSError, AssertionError, ValueError) as e:
        raise Violation(f"it does not open: {e!r}") from e
    try:
        cluster.wait_for_leader(WITHIN_S)
        cluster.settle(WITHIN_S)
    except AssertionError as e:
        raise Violation(f"it does not settle: {e}") from e
    for machine in cluster.machines:
        if machine.process is None:
            raise Violation(f"a member gave up: {machine.failure!r}")


def _check_hashes(cluster: SimulatedCluster, replayed: int) -> None:
    for member in cluster.running:
        found = member.member.store.hash_kv(0).hash
        if found != replayed:
            raise Violation(f"its hash is {found}, a replay from scratch has {replayed}")


def _readable(state: State) -> State:
    """Without the history that compaction took."""
    first = max(state.compact_revision, 1)
    kept: Mapping[int, Rows] = {r: rows for r, rows in state.rows_at.items() if r >= first}
    return State(state.revision, state.compact_revision, kept)


def _difference(found: State, allowed: Sequence[State]) -> str:
    """The keys whose newest rows no allowed state has so."""
    keys = sorted(found.rows.keys() | {key for state in allowed for key in state.rows})
    wrong = [
        key for key in keys if all(found.rows.get(key) != state.rows.get(key) for state in allowed)
    ]
    return f"wrong keys {wrong}" if wrong else "each key has a row of some state, all have of none"


def _replayed_hashes(
    requests: Sequence[Request], states: Sequence[State], directory: Path
) -> list[int]:
    """HashKV after each number of requests, on one member that nothing happens to."""
    cluster = make_cluster(directory, 1, seed=1)
    cluster.start_all()
    cluster.wait_for_leader()
    (member,) = cluster.running
    store = member.member.store
    hashes = [store.hash_kv(0).hash]
    for request, state in zip(requests, states[1:], strict=True):
        write(cluster, request)
        if read_state(store) != _readable(state):
            raise Violation(f"the model and a member that was left in peace differ on {request}")
        hashes.append(store.hash_kv(0).hash)
    cluster.stop_all()
    shutil.rmtree(directory)
    return hashes
