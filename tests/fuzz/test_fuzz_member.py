"""A whole member, a process of its own, under both fuzzers: it serves on, and does not grow."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest

from tests.e2e.cluster import Cluster
from tests.e2e.program import RAFTKV
from tests.fuzz import campaign, client_sessions, peer_speech, sockets
from tests.fuzz.member_watcher import MemberWatcher
from tests.fuzz.peer_speech import Place

SESSIONS, BATCH = 120, 30


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    with Cluster(RAFTKV, tmp_path, members=1) as cluster:
        yield cluster


class Fuzzer:
    """Plays sessions to both ports of a cluster of one."""

    def __init__(self, cluster: Cluster, seed: int) -> None:
        member = cluster.members[0]
        header = cluster.api(member).status().header
        self._place = Place(header.cluster_id, header.member_id, (2, 3))
        self._client = ("127.0.0.1", member.addresses.client_port)
        self._peer = ("127.0.0.1", member.addresses.peer_port)
        self._watcher = MemberWatcher(cluster)
        self._random = Random(seed)
        self.seed = seed

    def batch(self, number: int) -> None:
        """Some sessions; then the member must be as well as before. Raises Found."""
        for index in range(BATCH):
            if self._random.random() < 0.5:
                self._try(self._client, client_sessions.session(self._random), number, index)
            else:
                session = peer_speech.session(self._random, self._place)
                self._try(self._peer, session, number, index)
        self._watcher.check_service()
        self._watcher.check_growth()

    def end(self) -> None:
        self._watcher.check_end()

    def _try(self, address: tuple[str, int], session: list[bytes], number: int, index: int) -> None:
        complaint = sockets.play(address, session)
        if complaint:
            raise campaign.Found(f"seed {self.seed}, batch {number}, session {index}: {complaint}")


@pytest.mark.slow
def test_a_member_stands_anything(cluster: Cluster) -> None:
    """Both ports in turn, from a seed: healthy after each batch, nothing open at the end."""
    fuzzer = Fuzzer(cluster, campaign.seed_or(1))
    for number in range(SESSIONS // BATCH):
        fuzzer.batch(number)
    fuzzer.end()


@pytest.mark.long
@pytest.mark.timeout(campaign.long_seconds() + 120)
def test_a_member_stands_it_for_minutes(cluster: Cluster) -> None:
    """The same for RAFTKV_LONG_SECONDS, with a seed of its own."""
    fuzzer = Fuzzer(cluster, campaign.seed_or(1_000_003))
    until = time.monotonic() + campaign.long_seconds()
    number = 0
    while time.monotonic() < until:
        fuzzer.batch(number)
        number += 1
    fuzzer.end()
    print(f"member: {number * BATCH} sessions of seed {fuzzer.seed}")
