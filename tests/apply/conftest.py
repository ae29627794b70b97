"""A store of its own for each test, and for each example of a property test."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from applied_store import Applied, MakeApplied


@pytest.fixture
def make_applied(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MakeApplied]:
    made: list[Applied] = []

    def make(granted: frozenset[int] = frozenset()) -> Applied:
        applied = Applied(tmp_path_factory.mktemp("db") / "db", granted)
        made.append(applied)
        return applied

    yield make
    for applied in made:
        applied.backend.close()


@pytest.fixture
def applied(make_applied: MakeApplied) -> Applied:
    return make_applied()
