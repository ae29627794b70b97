"""The kinds that the components work with.

Owns: their names in paths. Must never do: know more of them.
"""

from __future__ import annotations

from apiserver_shim.components.api_client import Kind

NAMESPACES = Kind("", "v1", "namespaces", namespaced=False)
NODES = Kind("", "v1", "nodes", namespaced=False)
PODS = Kind("", "v1", "pods")
SERVICES = Kind("", "v1", "services")
ENDPOINTS = Kind("", "v1", "endpoints")
EVENTS = Kind("", "v1", "events")
SERVICE_ACCOUNTS = Kind("", "v1", "serviceaccounts")
CLAIMS = Kind("", "v1", "persistentvolumeclaims")
REPLICATION_CONTROLLERS = Kind("", "v1", "replicationcontrollers")
DEPLOYMENTS = Kind("apps", "v1", "deployments")
REPLICA_SETS = Kind("apps", "v1", "replicasets")
STATEFUL_SETS = Kind("apps", "v1", "statefulsets")
DAEMON_SETS = Kind("apps", "v1", "daemonsets")
CONTROLLER_REVISIONS = Kind("apps", "v1", "controllerrevisions")
JOBS = Kind("batch", "v1", "jobs")
CRON_JOBS = Kind("batch", "v1", "cronjobs")
LEASES = Kind("coordination.k8s.io", "v1", "leases")
ENDPOINT_SLICES = Kind("discovery.k8s.io", "v1", "endpointslices")
BUDGETS = Kind("policy", "v1", "poddisruptionbudgets")
