"""raftkv answers as etcd does: every field, code and text, over generated sequences of requests."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings

from tests.differential.operations import Operation
from tests.differential.player import Pair
from tests.differential.replay import started_pair
from tests.differential.strategies import unary_sequences, watch_sequences

QUICK = settings(suppress_health_check=list(HealthCheck))


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    with started_pair(tmp_path_factory.mktemp("pair"), members=1) as pair:
        yield pair


@settings(QUICK, max_examples=200)
@given(operations=unary_sequences)
def test_calls_are_answered_alike(pair: Pair, operations: list[Operation]) -> None:
    """Puts, ranges, transactions, compactions, leases and nonsense, on one member."""
    pair.check(operations)


@settings(QUICK, max_examples=20)
@given(operations=watch_sequences)
def test_watches_see_alike(pair: Pair, operations: list[Operation]) -> None:
    """Watchers of the past, the present and the future among writes."""
    pair.check(operations)
