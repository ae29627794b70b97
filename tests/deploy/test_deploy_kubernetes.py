"""The Kubernetes manifests, by Kubernetes' published schemas and by what the members make of them.

tests/shim/test_shim_deploy.py applies them with kubectl.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from apiserver_shim.schemas.definitions import VERSION
from raftkv import __version__
from raftkv.server.config import ServerConfig
from raftkv.tls.certificate_check import covers_host
from raftkv.tls.certificate_directory import CertificateDirectory, Lives
from tests.deploy.command_lines import DEPLOY, agree, taken

FILE = DEPLOY / "kubernetes" / "raftkv.yaml"


@pytest.fixture(scope="module")
def objects() -> dict[tuple[str, str], dict[str, Any]]:
    """By kind and name."""
    found = list(yaml.safe_load_all(FILE.read_text()))
    return {(each["kind"], each["metadata"]["name"]): each for each in found}


def pod(objects: dict[tuple[str, str], dict[str, Any]]) -> dict[str, Any]:
    spec: dict[str, Any] = objects["StatefulSet", "raftkv"]["spec"]["template"]["spec"]
    return spec


@pytest.mark.parametrize("version", ["1.27", VERSION.rpartition(".")[0]])
def test_the_schemas(objects: dict[tuple[str, str], dict[str, Any]], version: str) -> None:
    """Of an old and of the newest release, strictly: no unknown field. A misspelt one is told."""
    for each in objects.values():
        kubernetes_validate.validate(each, version, strict=True)
    service = objects["Service", "raftkv"]
    wrong = {**service, "spec": {**service["spec"], "clusterIp": "None"}}
    with pytest.raises(kubernetes_validate.ValidationError, match="clusterIp"):
        kubernetes_validate.validate(wrong, version, strict=True)


def member(
    objects: dict[tuple[str, str], dict[str, Any]], ordinal: int, certificates: Path
) -> ServerConfig:
    """As kubelet starts it: $(POD_NAME) is the pod's name."""
    (container,) = pod(objects)["containers"]
    (variable,) = container["env"]
    assert variable["valueFrom"]["fieldRef"]["fieldPath"] == "metadata.name"
    name = f"{objects['StatefulSet', 'raftkv']['metadata']['name']}-{ordinal}"
    arguments = [each.replace(f"$({variable['name']})", name) for each in container["args"]]
    return taken(arguments, {}, certificates)


def test_its_members(objects: dict[tuple[str, str], dict[str, Any]], certificates: Path) -> None:
    """As many as there are replicas, each by its pod's name under the headless service, which gives
    names to pods that are not ready yet; they start all at once, since none is ready alone."""
    spec = objects["StatefulSet", "raftkv"]["spec"]
    configs = [member(objects, ordinal, certificates) for ordinal in range(spec["replicas"])]
    agree(configs)
    assert len(configs) == 3
    headless = objects["Service", spec["serviceName"]]["spec"]
    assert headless["clusterIP"] == "None"
    assert headless["publishNotReadyAddresses"]
    assert spec["podManagementPolicy"] == "Parallel"
    for config in configs:
        (url,) = config.initial_advertise_peer_urls
        assert url == f"https://{config.name}.{spec['serviceName']}:2380"
        assert config.client_tls.client_cert_auth
        assert config.peer_tls.client_cert_auth


def test_what_belongs_together(
    objects: dict[tuple[str, str], dict[str, Any]], certificates: Path
) -> None:
    """Selectors, ports, probes, volumes and the data directory name each other."""
    spec = objects["StatefulSet", "raftkv"]["spec"]
    labels = spec["template"]["metadata"]["labels"]
    (container,) = pod(objects)["containers"]
    ports = {each["name"]: each["containerPort"] for each in container["ports"]}
    for name in ("raftkv", "raftkv-client"):
        service = objects["Service", name]["spec"]
        assert service["selector"].items() <= labels.items()
        assert {each["targetPort"] for each in service["ports"]} <= ports.keys()
    assert objects["PodDisruptionBudget", "raftkv"]["spec"]["selector"] == spec["selector"]
    config = member(objects, 0, certificates)
    assert [each.port for each in config.listen_client] == [ports["client"]]
    assert [each.port for each in config.listen_peer] == [ports["peer"]]
    assert [each.port for each in config.listen_metrics] == [ports["health"]]
    pages = {
        probe: container[probe]["httpGet"]
        for probe in ("startupProbe", "livenessProbe", "readinessProbe")
    }
    assert {page["port"] for page in pages.values()} == {"health"}
    assert [page["path"] for page in pages.values()] == ["/livez", "/livez", "/readyz"]
    mounts = {each["name"]: each["mountPath"] for each in container["volumeMounts"]}
    (claim,) = spec["volumeClaimTemplates"]
    assert config.data_dir.startswith(mounts[claim["metadata"]["name"]] + "/")
    assert mounts.keys() == {"data", *(each["name"] for each in pod(objects)["volumes"])}
    assert container["securityContext"]["readOnlyRootFilesystem"]
    assert pod(objects)["securityContext"]["runAsNonRoot"]
    assert container["image"] == f"raftkv:{__version__}"


def test_one_secret_for_all(
    objects: dict[tuple[str, str], dict[str, Any]], certificates: Path, tmp_path: Path
) -> None:
    """The certificate that docs/deploy.md has made for the Secret is for every pod's name and for
    the clients' service."""
    page = (DEPLOY.parent / "docs" / "deploy.md").read_text()
    (hosts,) = {
        line.split()[-1] for line in page.splitlines() if line.strip().startswith("--hosts raftkv=")
    }
    names = [pair.partition("=")[2] for pair in hosts.split(",")]
    CertificateDirectory(tmp_path).create({"raftkv": names}, [], Lives())
    leaves = {leaf.kind.name: leaf.certificate for leaf in CertificateDirectory(tmp_path).leaves()}
    for ordinal in range(3):
        host = f"raftkv-{ordinal}.raftkv"
        assert covers_host(leaves["server"], host)
        assert covers_host(leaves["peer"], host)
    assert covers_host(leaves["server"], "raftkv-client")


def test_kubeadm() -> None:
    """kubeadm's fields, with the three endpoints that the commands beside it make certificates for,
    and the files of one client."""
    config = yaml.safe_load((DEPLOY / "kubeadm" / "kubeadm-config.yaml").read_text())
    assert config["apiVersion"] == "kubeadm.k8s.io/v1beta4"
    assert config["kind"] == "ClusterConfiguration"
    external = config["etcd"]["external"]
    assert set(external) == {"endpoints", "caFile", "certFile", "keyFile"}
    text = (DEPLOY / "kubeadm" / "README.md").read_text()
    for endpoint in external["endpoints"]:
        host = endpoint.removeprefix("https://").removesuffix(":2379")
        assert f"={host}" in text
    for file in ("caFile", "certFile", "keyFile"):
        assert external[file] in text
