"""Deployments: from one ReplicaSet to the next without an outage."""
