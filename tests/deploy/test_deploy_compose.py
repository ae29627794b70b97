"""The compose file, by the specification's schema and by what its members make of it."""

from __future__ import annotations

import json
from typing import Any

import jsonschema
import pytest
import yaml

from raftkv import __version__
from tests.deploy.command_lines import DEPLOY, agree, taken
from tests.e2e.program import ROOT

FILE = DEPLOY / "compose" / "compose.yaml"
SCHEMA = ROOT / ".tools" / "compose_spec.json"
"""Docker's own, from the last release that PyPI has; .ci/tools fetches it."""


@pytest.fixture(scope="module")
def project() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(FILE.read_text())
    return found


def test_the_schema(project: dict[str, Any]) -> None:
    """No unknown key and no wrong type; a misspelt one is told, so that this can fail."""
    schema = json.loads(SCHEMA.read_text())
    # Of 2021: since then a project may have a name.
    schema["properties"].setdefault("name", {"type": "string"})
    validator = jsonschema.Draft201909Validator(schema)
    validator.validate(project)
    project["services"]["m1"] = {**project["services"]["m1"], "comand": []}
    with pytest.raises(jsonschema.ValidationError, match="comand"):
        validator.validate(project)


def test_its_members(project: dict[str, Any]) -> None:
    """Three of one cluster; each by its service's name, with a volume of its own for its data, on a
    port of this machine alone, and watched where it says how it is."""
    services = project["services"]
    configs = [taken(service["command"], {}) for service in services.values()]
    agree(configs)
    assert len(configs) == 3
    ports, volumes = set(), set()
    for config, (name, service) in zip(configs, services.items(), strict=True):
        assert config.name == name
        assert config.initial_advertise_peer_urls == (f"http://{name}:2380",)
        (mount,) = service["volumes"]
        volume, _, path = mount.partition(":")
        assert config.data_dir.startswith(f"{path}/")
        volumes.add(volume)
        (port,) = service["ports"]
        assert port.startswith("127.0.0.1:")
        ports.add(port)
        watched = service["healthcheck"]["test"][-1]
        assert f"127.0.0.1:{config.listen_metrics[0].port}/livez" in watched
        assert service["read_only"]
        assert service["image"] == f"raftkv:{__version__}"
        context = FILE.parent / service["build"]["context"]
        assert (context / service["build"]["dockerfile"]).is_file()
    assert len(ports) == 3
    assert volumes == set(project["volumes"])
