"""The real kubectl against a real process under TLS: who gets in, and what each may do."""

from __future__ import annotations

import json
import stat
import urllib.error
import urllib.request
from collections.abc import Iterator

import pytest

from tests.certificates import Authority
from tests.e2e.member_process import Addresses, MemberProcess, reserve_ports
from tests.e2e.program import program_under_test
from tests.shim.security.apiserver_process import ApiserverProcess, Kubectl

pytestmark = pytest.mark.e2e
NAMESPACE = "shop"
ACCOUNT = f"/api/v1/namespaces/{NAMESPACE}/serviceaccounts/robot/token"
OBJECTS = f"""
apiVersion: v1
kind: Namespace
metadata: {{name: {NAMESPACE}}}
---
apiVersion: v1
kind: ServiceAccount
metadata: {{name: robot, namespace: {NAMESPACE}}}
---
apiVersion: v1
kind: Secret
metadata: {{name: password, namespace: {NAMESPACE}}}
data: {{key: aHVudGVyMg==}}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {{name: robot-views, namespace: {NAMESPACE}}}
roleRef: {{apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: view}}
subjects: [{{kind: ServiceAccount, name: robot, namespace: {NAMESPACE}}}]
"""


@pytest.fixture(scope="module")
def apiserver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiserverProcess]:
    """With the objects above, on a store that is for those alone who have its certificate."""
    directory = tmp_path_factory.mktemp("apiserver")
    authority = Authority(directory / "store-pki")
    pair, ca = authority.issue("store"), authority.ca
    place = Addresses("m0", *reserve_ports(2), client_scheme="https")
    flags = [f"--cert-file={pair.cert}", f"--key-file={pair.key}", f"--trusted-ca-file={ca}"]
    initial = f"{place.name}={place.peer_url}"
    store = MemberProcess(program_under_test(), place, directory, initial, flags)
    process = ApiserverProcess(
        directory,
        place.endpoint,
        reserve_ports(1)[0],
        f"--etcd-servers={place.client_url}",
        f"--etcd-cafile={ca}",
        f"--etcd-certfile={pair.cert}",
        f"--etcd-keyfile={pair.key}",
    )
    try:
        store.start()
        process.start()
        Kubectl(process).must("create", "--validate=false", "-f", "-", body=OBJECTS)
        yield process
    finally:
        process.kill()
        store.kill()


@pytest.fixture
def admin(apiserver: ApiserverProcess) -> Kubectl:
    return Kubectl(apiserver)


@pytest.fixture(scope="module")
def robot(apiserver: ApiserverProcess) -> Kubectl:
    """The service account, by a token of its own."""
    request = {"kind": "TokenRequest", "apiVersion": "authentication.k8s.io/v1", "spec": {}}
    made = Kubectl(apiserver).must("create", "--raw", ACCOUNT, "-f", "-", body=json.dumps(request))
    return Kubectl(apiserver, token=json.loads(made)["status"]["token"])


def test_the_generated_kubeconfigs_let_their_owners_in(
    apiserver: ApiserverProcess, admin: Kubectl
) -> None:
    """The admin may do everything, each component its own work, and no more."""
    assert "view" in admin.must("get", "clusterroles")
    assert admin.must("auth", "can-i", "*", "*").strip() == "yes"
    for config, allowed, refused in (
        ("scheduler", ("create", "pods/binding"), ("get", "secrets")),
        ("controller-manager", ("create", "replicasets.apps"), ("create", "clusterroles")),
        ("kube-proxy", ("watch", "endpointslices.discovery.k8s.io"), ("list", "secrets")),
        ("kubelet", ("list", "pods"), ("list", "secrets")),
    ):
        kubectl = Kubectl(apiserver, config)
        (verb, resource), (bad_verb, bad_resource) = allowed, refused
        resource, _, subresource = resource.partition("/")
        more = [f"--subresource={subresource}"] if subresource else []
        assert kubectl.must("auth", "can-i", verb, resource, *more).strip() == "yes", config
        answer = kubectl.run("auth", "can-i", bad_verb, bad_resource)
        assert (answer.output.strip(), answer.status) == ("no", 1), config
    mode = stat.S_IMODE((apiserver.certificates / "admin.conf").stat().st_mode)
    assert mode == 0o600


def test_a_service_account_s_token_has_its_account_s_rights(robot: Kubectl) -> None:
    """view in its namespace: pods there, no pods elsewhere, no secrets anywhere."""
    assert robot.run("get", "pods", "-n", NAMESPACE).status == 0
    assert robot.must("auth", "can-i", "list", "pods", "-n", NAMESPACE).strip() == "yes"
    assert "configmaps" in robot.must("auth", "can-i", "--list", "-n", NAMESPACE)
    who = 'User "system:serviceaccount:shop:robot"'
    for arguments, words in (
        (("get", "pods"), f'pods is forbidden: {who} cannot list resource "pods"'),
        (("get", "secrets", "-n", NAMESPACE), f'{who} cannot list resource "secrets"'),
        (("get", "secret", "password", "-n", NAMESPACE), 'secrets "password" is forbidden'),
        (("get", "secrets", "-A"), "at the cluster scope"),
        (("delete", "secret", "password", "-n", NAMESPACE), 'cannot delete resource "secrets"'),
        (("get", "pods", "--as", "admin"), 'cannot impersonate resource "users"'),
        (("create", "namespace", "mine"), 'cannot create resource "namespaces"'),
    ):
        outcome = robot.run(*arguments)
        assert outcome.status == 1, arguments
        assert words in outcome.errors, outcome.errors


def test_an_admin_may_act_as_another(admin: Kubectl) -> None:
    """`--as` shows what the other would see."""
    refusal = admin.run("get", "nodes", "--as", "carol", "--as-group", "devs")
    assert 'User "carol" cannot list resource "nodes"' in refusal.errors
    assert admin.run("get", "nodes", "--as", "carol", "--as-group", "system:masters").status == 0


def test_wrong_credentials_are_told_so(apiserver: ApiserverProcess) -> None:
    """kubectl's own words for a 401."""
    outcome = Kubectl(apiserver, token="nonsense").run("get", "pods")
    assert outcome.status == 1
    assert "You must be logged in to the server" in outcome.errors


def test_there_is_no_plain_port_and_no_other_way_in(apiserver: ApiserverProcess) -> None:
    """HTTP on the TLS port is no answer; kubectl that does not know the authority goes away."""
    plain = apiserver.server.replace("https", "http")
    with pytest.raises((urllib.error.URLError, OSError)):
        urllib.request.urlopen(f"{plain}/version", timeout=30)
    stranger = Kubectl(apiserver, token="x")
    outcome = stranger.run("get", "pods", "--certificate-authority=/dev/null")
    assert outcome.status == 1
    assert "serving on http://" not in apiserver.log()


def test_a_stopped_shim_ends_its_watches_and_comes_back_as_it_was(
    apiserver: ApiserverProcess, admin: Kubectl, robot: Kubectl
) -> None:
    """SIGTERM: `kubectl get -w` ends as if there were no more, and so does the process; started
    again, certificates and tokens are still good, and the audit log has told of the robot."""
    watching = admin.start("get", "namespaces", "-w", "-o", "name")
    assert watching.stdout is not None
    assert watching.stdout.readline().startswith("namespace/")
    assert apiserver.stop() == 0
    assert watching.wait(timeout=30) == 0
    watching.stdout.close()
    assert "Traceback" not in apiserver.log()
    lines = [json.loads(line) for line in apiserver.audit_path.read_text().splitlines()]
    told = [each for each in lines if each["user"]["username"].endswith("shop:robot")]
    assert {each["responseStatus"]["code"] for each in told} >= {200, 201, 403}
    apiserver.start()
    assert "password" in admin.must("get", "secrets", "-n", NAMESPACE)
    assert robot.run("get", "pods", "-n", NAMESPACE).status == 0
