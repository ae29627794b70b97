"""Fixtures of the end-to-end tests: clusters, shared or a test's own; their logs on failure."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import ExitStack
from itertools import count
from pathlib import Path

import pytest

from tests.e2e.api import Api
from tests.e2e.cluster import Cluster
from tests.e2e.etcdctl import Etcdctl
from tests.e2e.member_process import MemberProcess
from tests.e2e.program import program_under_test

HERE = Path(__file__).parent
PROGRAM = program_under_test()
_STARTED: list[Cluster] = []
_PREFIXES = count(1)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Mark the folder's tests, and leave out raftkv's own promises when another program runs."""
    foreign = []
    for item in items:
        if HERE not in item.path.parents:
            continue
        item.add_marker("e2e")
        if PROGRAM.is_etcd and item.get_closest_marker("raftkv_only"):
            foreign.append(item)
    if foreign:
        config.hook.pytest_deselected(items=foreign)
        items[:] = [item for item in items if item not in foreign]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """A failed test shows the end of the members' logs."""
    report = yield
    if report.failed and HERE in item.path.parents:
        for cluster in _STARTED[-2:]:
            for member in cluster.members:
                report.sections.append((f"log of {member.name}", member.log_tail()))
    return report


@pytest.fixture(scope="session")
def shared_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Three members for all tests that only use them; such a test keeps to its own ``prefix``."""
    with Cluster(PROGRAM, tmp_path_factory.mktemp("shared")) as cluster:
        _STARTED.append(cluster)
        yield cluster
        assert not cluster.broken_log_lines()


@pytest.fixture
def new_cluster(tmp_path: Path) -> Iterator[Callable[..., Cluster]]:
    """Starts clusters of a test's own, which it may break."""
    with ExitStack() as stack:
        made: list[Cluster] = []

        def start(
            *, members: int = 3, flags: Sequence[str] = (), peer_scheme: str = "http"
        ) -> Cluster:
            directory = tmp_path / f"cluster{len(made)}"
            directory.mkdir()
            cluster = Cluster(
                PROGRAM, directory, members=members, flags=flags, peer_scheme=peer_scheme
            )
            made.append(cluster)
            _STARTED.append(cluster)
            return stack.enter_context(cluster)

        yield start
        for cluster in made:
            assert not cluster.broken_log_lines()


@pytest.fixture(params=["leader", "follower"])
def member(request: pytest.FixtureRequest, shared_cluster: Cluster) -> MemberProcess:
    """The member that the test talks to: once the leader, once a follower."""
    return shared_cluster.leader() if request.param == "leader" else shared_cluster.follower()


@pytest.fixture
def ctl(shared_cluster: Cluster, member: MemberProcess) -> Etcdctl:
    """etcdctl for ``member`` alone."""
    return shared_cluster.ctl(member)


@pytest.fixture
def api(shared_cluster: Cluster, member: MemberProcess) -> Api:
    """gRPC calls on ``member`` alone."""
    return shared_cluster.api(member)


@pytest.fixture
def prefix() -> str:
    """A part of the key space that no other test uses."""
    return f"t{next(_PREFIXES):03d}/"
