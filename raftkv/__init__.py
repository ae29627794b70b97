"""raftkv: a Raft-replicated, LMDB-backed MVCC key-value store that speaks etcd's v3 API."""

__version__ = "0.2.0"

# The etcd release whose API surface this version matches; Status and /version report it, since
# clients (a Kubernetes apiserver among them) switch features on by it.
ETCD_VERSION = "3.7.0"
