"""The roles of the control plane's own parts, as data.

Owns: those of scheduler, controllers, proxy, DNS and nodes. Must never do: write them. Names are
Kubernetes' own. Where a real cluster gives each controller an account and a role, here all
controllers act as system:kube-controller-manager, whose role is the sum.
"""

from __future__ import annotations

from apiserver_shim.bootstrap.roles import (
    READ,
    account,
    cluster_binding,
    cluster_role,
    rule,
    user,
)

_EVENTS = rule("core events.k8s.io", "events", "create", "patch", "update")
_REVIEWS = (
    rule("authentication.k8s.io", "tokenreviews", "create"),
    rule("authorization.k8s.io", "subjectaccessreviews", "create"),
)
_LEADER_VERBS = ("create", "get", "list", "watch", "update", "patch")
_WORKLOADS = "daemonsets deployments replicasets statefulsets controllerrevisions"

COMPONENTS = (
    cluster_role(
        "system:kube-scheduler",
        _EVENTS,
        *_REVIEWS,
        rule("coordination.k8s.io", "leases", *_LEADER_VERBS),
        rule("core", "nodes namespaces services replicationcontrollers", *READ),
        rule("core", "pods", "get", "list", "watch", "delete"),
        rule("core", "bindings pods/binding", "create"),
        rule("core", "pods/status", "patch", "update"),
        rule("apps", "replicasets statefulsets", *READ),
        rule("policy", "poddisruptionbudgets", *READ),
        rule("core", "persistentvolumeclaims persistentvolumes", *READ, "update"),
        rule("storage.k8s.io", "csinodes csidrivers csistoragecapacities storageclasses", *READ),
    ),
    cluster_role(
        "system:volume-scheduler",
        rule("core", "persistentvolumes", "get", "list", "patch", "update", "watch"),
        rule("storage.k8s.io", "storageclasses", *READ),
        rule("core", "persistentvolumeclaims", "get", "list", "patch", "update", "watch"),
    ),
    cluster_role(
        "system:kube-controller-manager",
        _EVENTS,
        *_REVIEWS,
        # The garbage collector and namespace deletion go through every kind.
        rule("*", "*", "get", "list", "watch", "delete", "deletecollection"),
        rule("*", "*", "patch", "update"),
        rule("coordination.k8s.io", "leases", *_LEADER_VERBS),
        rule("core", "pods endpoints serviceaccounts configmaps secrets", "create"),
        rule("core", "serviceaccounts/token pods/eviction", "create"),
        rule("core", "namespaces/finalize namespaces/status", "update", "patch"),
        rule("core", "pods/status nodes/status", "update", "patch"),
        rule("core", "persistentvolumeclaims persistentvolumes", "create"),
        rule("discovery.k8s.io", "endpointslices", "create"),
        rule("apps", _WORKLOADS, "create"),
        rule("*", "*/scale", "get", "update", "patch"),
        rule("batch", "jobs", "create"),
    ),
    cluster_role(
        "system:node-proxier",
        _EVENTS,
        rule("core", "services endpoints", "list", "watch"),
        rule("core", "nodes", *READ),
        rule("discovery.k8s.io", "endpointslices", "list", "watch"),
    ),
    cluster_role(
        "system:kube-dns",
        rule("core", "services endpoints namespaces pods", "list", "watch"),
        rule("discovery.k8s.io", "endpointslices", "list", "watch"),
    ),
    # For other authorizers' use, as in a real cluster: kubelets go by the Node authorizer.
    cluster_role(
        "system:node",
        _EVENTS,
        *_REVIEWS,
        rule("core", "services pods nodes", *READ),
        rule("core", "nodes", "create", "update", "patch", "delete"),
        rule("core", "nodes/status pods/status", "patch", "update"),
        rule("core", "pods", "create", "delete"),
        rule("core", "pods/eviction serviceaccounts/token", "create"),
        rule("core", "configmaps secrets", *READ),
        rule("core", "persistentvolumeclaims persistentvolumes", "get"),
        rule("coordination.k8s.io", "leases", "create", "delete", "get", "patch", "update"),
        rule("node.k8s.io", "runtimeclasses", *READ),
        rule("storage.k8s.io", "csidrivers csinodes volumeattachments", *READ),
    ),
    cluster_role(
        "system:kubelet-api-admin",
        rule("core", "nodes", "get", "list", "watch", "proxy"),
        rule("core", "nodes/proxy nodes/log nodes/stats nodes/metrics", "*"),
    ),
)
COMPONENT_BINDINGS = (
    cluster_binding(
        "system:kube-scheduler", "system:kube-scheduler", user("system:kube-scheduler")
    ),
    cluster_binding(
        "system:volume-scheduler", "system:volume-scheduler", user("system:kube-scheduler")
    ),
    cluster_binding(
        "system:kube-controller-manager",
        "system:kube-controller-manager",
        user("system:kube-controller-manager"),
    ),
    cluster_binding("system:node-proxier", "system:node-proxier", user("system:kube-proxy")),
    cluster_binding("system:kube-dns", "system:kube-dns", account("kube-system", "kube-dns")),
    # As a real cluster has it: the binding is there, nobody is bound.
    cluster_binding("system:node", "system:node"),
)
