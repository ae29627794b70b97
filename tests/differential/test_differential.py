"""raftkv answers as etcd does: every field, code and text, over generated sequences of requests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given, settings

from tests.differential.auth_strategies import auth_sequences
from tests.differential.json_store import JsonStore
from tests.differential.operations import Operation
from tests.differential.player import Pair
from tests.differential.replay import started_pair
from tests.differential.store import Store
from tests.differential.strategies import json_sequences, unary_sequences, watch_sequences

# The fixtures are one pair of stores for all examples, on purpose: each begins by aligning them.
QUICK = settings(suppress_health_check=list(HealthCheck))


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    """One member beside one etcd."""
    with started_pair(tmp_path_factory.mktemp("pair"), members=1) as pair:
        yield pair


@pytest.fixture(scope="module")
def cluster_pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    """Three members, each of which is asked, beside one etcd."""
    with started_pair(tmp_path_factory.mktemp("cluster_pair"), members=3) as pair:
        yield pair


@pytest.fixture(scope="module")
def json_pair(pair: Pair) -> Iterator[Pair]:
    """The same one member and etcd, by their JSON gateways."""
    stores: list[Store] = [JsonStore(store.cluster) for store in pair.stores]
    yield Pair(*stores)
    for store in stores:
        store.close()


@pytest.mark.slow
@settings(QUICK, max_examples=150)
@given(operations=unary_sequences)
def test_one_member_answers_alike(pair: Pair, operations: list[Operation]) -> None:
    """Puts, ranges, transactions, compactions, leases and nonsense."""
    pair.check(operations)


@pytest.mark.slow
@settings(QUICK, max_examples=20)
@given(operations=watch_sequences)
def test_watches_of_one_member_see_alike(pair: Pair, operations: list[Operation]) -> None:
    """Watchers of the past, the present and the future among writes."""
    pair.check(operations)


@pytest.mark.slow
@settings(QUICK, max_examples=40)
@given(operations=unary_sequences)
def test_every_member_answers_alike(cluster_pair: Pair, operations: list[Operation]) -> None:
    """The same requests spread over leader and followers; in the end all members are equal."""
    cluster_pair.check(operations)


@pytest.mark.slow
@settings(QUICK, max_examples=12)
@given(operations=watch_sequences)
def test_watches_of_every_member_see_alike(cluster_pair: Pair, operations: list[Operation]) -> None:
    """A stream on one member, writes on all."""
    cluster_pair.check(operations)


@pytest.mark.slow
@settings(QUICK, max_examples=60)
@given(operations=json_sequences)
def test_the_json_gateway_answers_alike(json_pair: Pair, operations: list[Operation]) -> None:
    """HTTP's status, gRPC's code and text, and the body's names and types."""
    json_pair.check(operations)


@pytest.mark.slow
@settings(QUICK, max_examples=40)
@given(operations=auth_sequences)
def test_one_member_judges_callers_alike(pair: Pair, operations: list[Operation]) -> None:
    """Users, roles, logins, and every kind of call by whoever may and whoever may not."""
    pair.check(operations)


@pytest.mark.slow
@settings(QUICK, max_examples=12)
@given(operations=auth_sequences)
def test_every_member_judges_callers_alike(cluster_pair: Pair, operations: list[Operation]) -> None:
    """The same by leader and followers: a token holds on every member."""
    cluster_pair.check(operations)
