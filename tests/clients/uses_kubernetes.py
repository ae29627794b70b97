"""Kubernetes' own Python client against a raftkv-apiserver: `uses_kubernetes.py URL YOUNGER_URL`,
the second of another server on the same store that began later.

Prints "done" if all went as a real apiserver has it. Runs in an environment of its own.
"""

from __future__ import annotations

import sys
import threading
import time

from kubernetes import client, dynamic, watch
from kubernetes.client.exceptions import ApiException
from kubernetes.leaderelection import electionconfig, leaderelection
from kubernetes.leaderelection.resourcelock.configmaplock import ConfigMapLock

NAMESPACE = "default"
SECONDS = 30


def refused(code: int, reason: str, call, *arguments, **named) -> None:
    refusal = None
    try:
        call(*arguments, **named)
    except ApiException as e:
        refusal = e
    assert refusal is not None, f"{reason} was expected"
    assert refusal.status == code, refusal
    assert reason in str(refusal.body or refusal.reason), refusal


def configmap(name: str, **data: str) -> client.V1ConfigMap:
    return client.V1ConfigMap(
        metadata=client.V1ObjectMeta(name=name, labels={"app": "t"}), data=data
    )


def typed(core: client.CoreV1Api) -> None:
    """Create, read, replace, patch, list with selectors and pages, delete; conflicts."""
    made = core.create_namespaced_config_map(NAMESPACE, configmap("a", x="1"))
    assert made.metadata.uid
    refused(409, "AlreadyExists", core.create_namespaced_config_map, NAMESPACE, configmap("a"))
    made.data["x"] = "2"
    replaced = core.replace_namespaced_config_map("a", NAMESPACE, made)
    assert int(replaced.metadata.resource_version) > int(made.metadata.resource_version)
    refused(409, "Conflict", core.replace_namespaced_config_map, "a", NAMESPACE, made)
    patched = core.patch_namespaced_config_map("a", NAMESPACE, {"data": {"y": "3"}})
    assert patched.data == {"x": "2", "y": "3"}
    for name in ("b", "c", "d"):
        core.create_namespaced_config_map(NAMESPACE, configmap(name))
    found, token = [], None
    while True:
        page = core.list_namespaced_config_map(
            NAMESPACE, label_selector="app=t", limit=3, _continue=token
        )
        found += [each.metadata.name for each in page.items]
        token = page.metadata._continue
        if not token:
            break
    assert found == ["a", "b", "c", "d"], found
    one = core.list_namespaced_config_map(NAMESPACE, field_selector="metadata.name=b")
    assert [each.metadata.name for each in one.items] == ["b"]
    core.delete_namespaced_config_map("d", NAMESPACE)
    refused(404, "NotFound", core.read_namespaced_config_map, "d", NAMESPACE)
    bad = client.V1Pod(metadata=client.V1ObjectMeta(name="p"), spec=client.V1PodSpec(containers=[]))
    refused(422, "spec.containers", core.create_namespaced_pod, NAMESPACE, bad)


def watched(core: client.CoreV1Api) -> None:
    """From a list's version on: every change, in order; it ends by itself."""
    listed = core.list_namespaced_config_map(NAMESPACE)
    seen: list[tuple[str, str]] = []

    def change() -> None:
        core.create_namespaced_config_map(NAMESPACE, configmap("w", n="0"))
        for number in range(1, 4):
            core.patch_namespaced_config_map("w", NAMESPACE, {"data": {"n": str(number)}})
        core.delete_namespaced_config_map("w", NAMESPACE)

    changing = threading.Thread(target=change)
    changing.start()
    stream = watch.Watch()
    for event in stream.stream(
        core.list_namespaced_config_map,
        NAMESPACE,
        resource_version=listed.metadata.resource_version,
        timeout_seconds=SECONDS,
    ):
        seen.append((event["type"], event["object"].data["n"]))
        if event["type"] == "DELETED":
            stream.stop()
    changing.join(SECONDS)
    expected = [("ADDED", "0"), *(("MODIFIED", str(n)) for n in (1, 2, 3)), ("DELETED", "3")]
    assert seen == expected, seen


def too_old(core: client.CoreV1Api) -> None:
    """A version from before all that the server remembers is 410, so that who lists again goes
    on."""

    def follow() -> None:
        stream = watch.Watch().stream(
            core.list_namespaced_config_map, NAMESPACE, resource_version="1", timeout_seconds=5
        )
        assert next(iter(stream), None) is None

    refused(410, "too old", follow)


def by_discovery(api: client.ApiClient) -> None:
    """The dynamic client finds kinds by discovery, custom ones too, and applies on the server."""
    found = dynamic.DynamicClient(api)
    deployments = found.resources.get(api_version="apps/v1", kind="Deployment")
    body = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "web"},
        "spec": {
            "selector": {"matchLabels": {"app": "web"}},
            "template": {
                "metadata": {"labels": {"app": "web"}},
                "spec": {"containers": [{"name": "c", "image": "demo"}]},
            },
        },
    }
    applied = deployments.server_side_apply(
        body=body, name="web", namespace=NAMESPACE, field_manager="test"
    )
    assert applied.spec.replicas == 1
    assert applied.spec.strategy.type == "RollingUpdate"
    assert [each.manager for each in applied.metadata.managedFields] == ["test"]
    deployments.delete(name="web", namespace=NAMESPACE)
    assert found.resources.get(api_version="v1", kind="Pod").namespaced


def leads(core: client.CoreV1Api) -> None:
    """Its leader election takes the lock, and lets another one have it when it stops."""
    led: list[str] = []

    def leading() -> None:
        led.append("leads")
        raise SystemExit

    config = electionconfig.Config(
        ConfigMapLock("election", NAMESPACE, "me"),
        lease_duration=5,
        renew_deadline=4,
        retry_period=1,
        onstarted_leading=leading,
        onstopped_leading=lambda: None,
    )
    electing = threading.Thread(target=leaderelection.LeaderElection(config).run, daemon=True)
    electing.start()
    deadline = time.monotonic() + SECONDS
    while not led and time.monotonic() < deadline:
        electing.join(0.05)
    assert led == ["leads"]
    record = core.read_namespaced_config_map("election", NAMESPACE).metadata.annotations
    assert '"holderIdentity": "me"' in record["control-plane.alpha.kubernetes.io/leader"]


def main(server: str, younger: str) -> None:
    configuration = client.Configuration(host=server)
    client.Configuration.set_default(configuration)
    with client.ApiClient(configuration) as api:
        core = client.CoreV1Api(api)
        typed(core)
        watched(core)
        by_discovery(api)
        leads(core)
    with client.ApiClient(client.Configuration(host=younger)) as api:
        too_old(client.CoreV1Api(api))
    print("done")


if __name__ == "__main__":
    main(*sys.argv[1:])
