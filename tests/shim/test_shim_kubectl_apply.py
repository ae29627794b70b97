"""The real kubectl: apply on both sides, conflicts, edits, and a kind of its user's own."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

from tests.shim.served_shim import ServedShim

pytestmark = pytest.mark.e2e

DEPLOYMENT = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: %d
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      containers: [{name: nginx, image: "nginx:1", ports: [{containerPort: 80}]}]
"""
DEFINITION = """
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: crontabs.kubectl.example.com}
spec:
  group: kubectl.example.com
  scope: Namespaced
  names: {plural: crontabs, singular: crontab, kind: CronTab, shortNames: [ct]}
  versions:
  - name: v1
    served: true
    storage: true
    additionalPrinterColumns:
    - {name: Spec, type: string, jsonPath: .spec.cronSpec}
    - {name: Ready, type: string, jsonPath: '.status.conditions[?(@.type=="Ready")].status'}
    schema:
      openAPIV3Schema:
        type: object
        properties:
          spec:
            type: object
            properties:
              cronSpec: {type: string, description: when it runs}
              replicas: {type: integer, minimum: 1, default: 1}
          status:
            type: object
            x-kubernetes-preserve-unknown-fields: true
"""
CRON_TAB = """
apiVersion: kubectl.example.com/v1
kind: CronTab
metadata: {name: one}
spec: {cronSpec: "* * * * *"}
status: {conditions: [{type: Ready, status: "True"}]}
"""


class Kubectl:
    """Runs the real program against one namespace."""

    def __init__(self, address: str, namespace: str, home: Path) -> None:
        self._head = ["kubectl", "--server", f"http://{address}", "--namespace", namespace]
        self._environment = os.environ | {"HOME": str(home), "KUBECONFIG": "/dev/null"}

    def run(self, *words: str, text: str = "", **environment: str) -> tuple[int, str]:
        """Its status and all that it says."""
        done = subprocess.run(
            [*self._head, *words],
            input=text.encode(),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=self._environment | environment,
            timeout=60,
            check=False,
        )
        return done.returncode, done.stdout.decode()

    def ok(self, *words: str, text: str = "", **environment: str) -> str:
        code, told = self.run(*words, text=text, **environment)
        assert code == 0, f"kubectl {' '.join(words)}: {told}"
        return told


@pytest.fixture
def kubectl(served_shim: ServedShim, namespace: str, tmp_path: Path) -> Kubectl:
    return Kubectl(served_shim.address, namespace.rpartition("/")[2], tmp_path)


def test_apply_on_the_server_and_its_conflicts(kubectl: Kubectl) -> None:
    """Two managers, one field; then by force."""
    apply = ("apply", "--server-side", "-f", "-")
    assert "serverside-applied" in kubectl.ok(*apply, text=DEPLOYMENT % 1)
    code, told = kubectl.run(*apply, "--field-manager=other", text=DEPLOYMENT % 2)
    assert code != 0
    assert 'error: Apply failed with 1 conflict: conflict with "kubectl": .spec.replicas' in told
    assert "--force-conflicts" in told
    kubectl.ok(*apply, "--field-manager=other", "--force-conflicts", text=DEPLOYMENT % 2)
    found = json.loads(kubectl.ok("get", "deploy", "web", "-o", "json", "--show-managed-fields"))
    assert found["spec"]["replicas"] == 2
    managers = {each["manager"]: each for each in found["metadata"]["managedFields"]}
    assert "f:replicas" not in managers["kubectl"]["fieldsV1"]["f:spec"]
    assert managers["other"]["operation"] == "Apply"


def test_apply_on_the_client_then_on_the_server(kubectl: Kubectl) -> None:
    """What was applied before is no conflict, even if edited; what another command set is."""
    assert "created" in kubectl.ok("apply", "-f", "-", text=DEPLOYMENT % 1)
    assert "unchanged" in kubectl.ok("apply", "-f", "-", text=DEPLOYMENT % 1)
    assert "configured" in kubectl.ok("apply", "-f", "-", text=DEPLOYMENT % 3)
    editor = "sed -i s/nginx:1/nginx:2/"
    assert "edited" in kubectl.ok("edit", "deploy", "web", KUBE_EDITOR=editor)
    image = "jsonpath={.spec.template.spec.containers[0].image}"
    assert kubectl.ok("get", "deploy", "web", "-o", image) == "nginx:2"
    kubectl.ok("apply", "--server-side", "-f", "-", text=DEPLOYMENT % 3)
    kubectl.ok("set", "image", "deploy/web", "nginx=nginx:3")
    code, told = kubectl.run("apply", "--server-side", "-f", "-", text=DEPLOYMENT % 3)
    assert code != 0
    assert 'conflict with "kubectl-set" using apps/v1' in told
    assert '.spec.template.spec.containers[name="nginx"].image' in told
    kubectl.ok("apply", "--server-side", "--force-conflicts", "-f", "-", text=DEPLOYMENT % 3)
    assert kubectl.ok("get", "deploy", "web", "-o", image) == "nginx:1"


def test_what_is_invalid_is_told_by_field(kubectl: Kubectl) -> None:
    """As kubectl prints a 422."""
    kubectl.ok("apply", "-f", "-", text=DEPLOYMENT % 1)
    change = '{"spec":{"template":{"metadata":{"labels":{"app":"x"}}}}}'
    code, told = kubectl.run("patch", "deploy", "web", "-p", change)
    assert code != 0
    assert 'The Deployment "web" is invalid: spec.template.metadata.labels: Invalid value' in told
    assert "`selector` does not match template `labels`" in told


def test_a_kind_of_the_users_own(kubectl: Kubectl) -> None:
    """From its definition to its columns, explain, and its end."""
    kubectl.ok("apply", "-f", "-", text=DEFINITION)
    kubectl.ok("wait", "--for=condition=Established", "crd/crontabs.kubectl.example.com")
    kubectl.ok("apply", "-f", "-", text=CRON_TAB)
    rows = kubectl.ok("get", "ct").splitlines()
    assert rows[0].split() == ["NAME", "SPEC", "READY"]
    assert rows[1].split() == ["one", "*", "*", "*", "*", "*", "True"]
    assert "when it runs" in kubectl.ok("explain", "crontab.spec.cronSpec")
    code, told = kubectl.run("patch", "ct", "one", "--type=merge", "-p", '{"spec":{"replicas":0}}')
    assert code != 0
    assert "spec.replicas in body should be greater than or equal to 1" in told
    assert "deleted" in kubectl.ok("delete", "crd", "crontabs.kubectl.example.com")
    code, told = kubectl.run("get", "crontabs.kubectl.example.com")
    assert code != 0
