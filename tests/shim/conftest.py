"""Fixtures of the shim's tests: a shim on a store of one member."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count

import pytest

from tests.e2e.cluster import Cluster
from tests.e2e.program import program_under_test
from tests.shim.served_shim import ServedShim

_NAMES = count(1)


@pytest.fixture(scope="session")
def served_shim(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServedShim]:
    """For all tests that keep to a ``namespace`` of their own."""
    directory = tmp_path_factory.mktemp("served-shim")
    with (
        Cluster(program_under_test(), directory, members=1) as cluster,
        ServedShim(cluster.endpoints[0]) as shim,
    ):
        yield shim


@pytest.fixture
def namespace(served_shim: ServedShim) -> str:
    """The path of a namespace that no other test uses: /api/v1/namespaces/..."""
    return served_shim.namespace(f"test-{next(_NAMES)}")
