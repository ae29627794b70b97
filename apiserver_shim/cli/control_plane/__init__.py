"""`raftkv-control-plane`: the small control plane, whole or part by part."""
