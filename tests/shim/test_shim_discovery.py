"""Discovery: what is served is named, in each form, and nothing else is."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.e2e.program import ROOT
from tests.shim.served_shim import ServedShim

AGGREGATED = "application/json;g=apidiscovery.k8s.io;v={};as=APIGroupDiscoveryList"
Named = dict[tuple[str, str], set[str]]
pytestmark = pytest.mark.e2e


def told(shim: ServedShim, path: str, accept: str = "application/json") -> Any:
    return json.loads(shim.ask_text("GET", path, {"Accept": accept}))


def plain(shim: ServedShim) -> Named:
    """Group and version -> resources and subresources, by the documents of old."""
    places = {("", "v1"): "/api/v1"}
    for group in told(shim, "/apis")["groups"]:
        for version in group["versions"]:
            places[group["name"], version["version"]] = f"/apis/{version['groupVersion']}"
    return {
        place: {each["name"] for each in told(shim, path)["resources"]}
        for place, path in places.items()
    }


def aggregated(shim: ServedShim, version: str) -> Named:
    """The same by the two aggregated documents."""
    found: Named = {}
    for path in ("/api", "/apis"):
        document = told(shim, path, AGGREGATED.format(version) + ",application/json")
        assert document["apiVersion"] == f"apidiscovery.k8s.io/{version}"
        for group in document["items"]:
            for each in group["versions"]:
                names = found.setdefault(
                    (group["metadata"].get("name", ""), each["version"]), set()
                )
                for resource in each["resources"]:
                    names.add(resource["resource"])
                    names |= {
                        f"{resource['resource']}/{sub['subresource']}"
                        for sub in resource.get("subresources", ())
                    }
    return found


@pytest.mark.parametrize("version", ["v2", "v2beta1"])
def test_both_forms_name_the_same(served_shim: ServedShim, version: str) -> None:
    """Every group, version, resource and subresource."""
    named = plain(served_shim)
    assert named == aggregated(served_shim, version)
    assert {"pods", "pods/status", "namespaces/finalize"} <= named["", "v1"]


def test_a_version_that_is_not_spoken_gets_the_plain_form(served_shim: ServedShim) -> None:
    """So does who names another first."""
    for accept in (AGGREGATED.format("v9") + ",application/json", "application/json"):
        assert told(served_shim, "/apis", accept)["kind"] == "APIGroupList"
        assert told(served_shim, "/api", accept)["kind"] == "APIVersions"


def test_the_preferred_version_is_the_stored_one(served_shim: ServedShim) -> None:
    """Clients take it where nobody names another."""
    preferred = {
        group["name"]: group["preferredVersion"]["version"]
        for group in told(served_shim, "/apis")["groups"]
    }
    assert preferred["autoscaling"] == "v2"
    assert {preferred[name] for name in ("apps", "batch", "policy", "events.k8s.io")} == {"v1"}


def test_every_collection_that_is_named_answers(served_shim: ServedShim) -> None:
    """A list of each resource that has the verb: controllers believe discovery."""
    for group, version in plain(served_shim):
        root = f"/apis/{group}/{version}" if group else f"/api/{version}"
        for resource in told(served_shim, root)["resources"]:
            if "list" in resource["verbs"]:
                listed = told(served_shim, f"{root}/{resource['name']}")
                assert listed["kind"] == f"{resource['kind']}List", resource["name"]
                assert listed["apiVersion"] == (f"{group}/{version}" if group else version)


@pytest.mark.parametrize(
    "group",
    [
        "admissionregistration.k8s.io",
        "apiregistration.k8s.io",
        "certificates.k8s.io",
        "flowcontrol.apiserver.k8s.io",
        "metrics.k8s.io",
        "resource.k8s.io",
        "storagemigration.k8s.io",
    ],
)
def test_groups_that_are_not_served_are_not_there(served_shim: ServedShim, group: str) -> None:
    """404, which clients take for an older or smaller server; docs/apiserver.md names them."""
    assert served_shim.get(f"/apis/{group}").code == 404
    assert group not in {name for name, _ in plain(served_shim)}
    assert group in (ROOT / "docs" / "apiserver.md").read_text()


@pytest.mark.parametrize("path", ["pods/resize", "pods/proxy", "services/proxy", "nodes/proxy"])
def test_subresources_that_are_not_served_are_not_there(served_shim: ServedShim, path: str) -> None:
    """404 too, and no document names them."""
    plural, name = path.split("/")
    assert path not in plain(served_shim)["", "v1"]
    scope = "" if plural == "nodes" else "/namespaces/default"
    assert served_shim.get(f"/api/v1{scope}/{plural}/x/{name}").code == 404
    assert f"{plural}/{{name}}/{name}" in (ROOT / "docs" / "apiserver.md").read_text()
