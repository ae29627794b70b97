"""raftkv and etcd side by side on the same work: ``python -m benchmarks``."""
