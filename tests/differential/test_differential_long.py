"""The differential tests for as long as one likes, with new seeds each time: `make test-long`."""

from __future__ import annotations

import os
import random
import time
from itertools import cycle
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, given, seed, settings

from tests.differential.auth_strategies import auth_sequences
from tests.differential.json_store import JsonStore
from tests.differential.operations import Operation
from tests.differential.player import Difference, Pair
from tests.differential.replay import started_pair
from tests.differential.strategies import json_sequences, unary_sequences, watch_sequences

SECONDS = float(os.environ.get("RAFTKV_LONG_SECONDS", "600"))
EXAMPLES_A_SEED = 50


def _play_seed(pair: Pair, sequences: object, number: int) -> None:
    @seed(number)
    @settings(
        max_examples=EXAMPLES_A_SEED,
        database=None,
        deadline=None,
        derandomize=False,
        phases=[Phase.generate, Phase.shrink],
        suppress_health_check=list(HealthCheck),
    )
    @given(operations=sequences)
    def played(operations: list[Operation]) -> None:
        pair.check(operations)

    played()


@pytest.mark.long
@pytest.mark.slow
@pytest.mark.timeout(SECONDS * 2 + 600)  # a difference found in the last second is still shrunk
def test_new_seeds(tmp_path: Path) -> None:
    """All kinds of sequences in turn, on one member and on three, until the time is over."""
    first = random.SystemRandom().randrange(10**9)
    end = time.monotonic() + SECONDS
    with (
        started_pair(tmp_path / "one", members=1) as one,
        started_pair(tmp_path / "three", members=3) as three,
    ):
        by_json = Pair(*[JsonStore(store.cluster) for store in one.stores])
        kinds = [
            (one, unary_sequences),
            (one, watch_sequences),
            (three, unary_sequences),
            (three, watch_sequences),
            (by_json, json_sequences),
            (one, auth_sequences),
            (three, auth_sequences),
        ]
        for number, (pair, sequences) in enumerate(cycle(kinds), start=first):
            if time.monotonic() >= end:
                break
            try:
                _play_seed(pair, sequences, number)
            except Difference as difference:
                raise AssertionError(f"seed {number}: {difference}") from None
        played = sum(pair.played for pair in (one, three, by_json))
    print(f"seeds {first} to {number}, {played} operations")
