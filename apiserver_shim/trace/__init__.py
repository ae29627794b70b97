"""The walk from `kubectl apply` to a running pod, as it happens."""
