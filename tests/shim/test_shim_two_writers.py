"""Two shims on one store: addresses where there are few, and kinds that one of them defines."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.e2e.cluster import Cluster
from tests.e2e.program import program_under_test
from tests.e2e.waiting import wait_until
from tests.shim.served_shim import Reply, ServedShim

pytestmark = pytest.mark.e2e
SERVICES = "/api/v1/namespaces/default/services"
RANGE = "10.97.0.0/28"
ADDRESSES = 13
"""Of sixteen: not the net's own, its last, nor the one kept for the service kubernetes."""


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[ServedShim, ServedShim]]:
    directory = tmp_path_factory.mktemp("two-shims")
    with (
        Cluster(program_under_test(), directory, members=1) as cluster,
        ServedShim(cluster.endpoints[0], service_range=RANGE) as one,
        ServedShim(cluster.endpoints[0], service_range=RANGE) as two,
    ):
        yield one, two


def test_no_address_is_given_twice_and_none_is_lost(pair: tuple[ServedShim, ServedShim]) -> None:
    """Two shims give out the whole range at once; then it is full; what goes is free again."""

    def make(number: int) -> Reply:
        body = {"metadata": {"name": f"s{number}"}, "spec": {"ports": [{"port": 80}]}}
        return pair[number % 2].create(SERVICES, body)

    with ThreadPoolExecutor(8) as threads:
        made = list(threads.map(make, range(ADDRESSES)))
    assert [each.code for each in made] == [201] * ADDRESSES
    given = {each.body["spec"]["clusterIP"] for each in made}
    assert len(given) == ADDRESSES
    assert "10.97.0.1" not in given
    full = make(ADDRESSES)
    assert (full.code, full.body["reason"]) == (500, "InternalError")
    assert f"the range {RANGE} is full" in full.message
    assert pair[0].delete(f"{SERVICES}/s4").code == 200
    again = make(ADDRESSES)
    assert (again.code, again.body["spec"]["clusterIP"]) == (201, made[4].body["spec"]["clusterIP"])


def test_a_kind_defined_at_one_is_served_by_both(pair: tuple[ServedShim, ServedShim]) -> None:
    """Each follows the definitions by itself, there and back."""
    crds = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
    schema = {"openAPIV3Schema": {"type": "object"}}
    definition = {
        "metadata": {"name": "gears.two.example.com"},
        "spec": {
            "group": "two.example.com",
            "scope": "Cluster",
            "names": {"plural": "gears", "kind": "Gear"},
            "versions": [{"name": "v1", "served": True, "storage": True, "schema": schema}],
        },
    }
    assert pair[0].create(crds, definition).code == 201
    path = "/apis/two.example.com/v1/gears"
    for shim in pair:
        wait_until(lambda s=shim: s.get(path).code == 200 or None, "the kind is served")
    assert pair[0].create(path, {"metadata": {"name": "g"}}).code == 201
    assert pair[1].get(f"{path}/g").code == 200
    assert pair[1].delete(f"{crds}/gears.two.example.com").code == 200
    for shim in pair:
        wait_until(lambda s=shim: s.get(path).code == 404 or None, "the kind is gone")
