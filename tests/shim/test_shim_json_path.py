"""The JSONPaths of printer columns."""

from __future__ import annotations

from typing import Any

import pytest

from apiserver_shim.views.json_path import found_at

OBJECT = {
    "metadata": {"labels": {"a.b/c": "x"}},
    "spec": {"size": 3, "hosts": ["one", "two"]},
    "status": {"conditions": [{"type": "Ready", "status": "True"}, {"type": "Old", "status": "?"}]},
}


@pytest.mark.parametrize(
    ("path", "wanted"),
    [
        (".spec.size", [3]),
        ("{.spec.size}", [3]),
        (".spec.hosts[0]", ["one"]),
        (".spec.hosts[-1]", ["two"]),
        (".spec.hosts[*]", ["one", "two"]),
        (".spec.hosts[9]", []),
        (r".metadata.labels.a\.b/c", ["x"]),
        (".metadata.labels['a.b/c']", ["x"]),
        ('.status.conditions[?(@.type=="Ready")].status', ["True"]),
        (".status.conditions[?(@.type!='Ready')].status", ["?"]),
        (".status.conditions[*].type", ["Ready", "Old"]),
        (".nothing.at.all", []),
        (".spec[", []),
        ("[?(", []),
    ],
)
def test_what_lies_at_a_path(path: str, wanted: list[Any]) -> None:
    """Names, places, filters, and nothing for what leads nowhere."""
    assert found_at(OBJECT, path) == wanted
