"""An async client for raftkv and etcd: see ``client.Client``."""

from raftkv.client.calls import RetryPolicy as RetryPolicy
from raftkv.client.client import Client as Client
from raftkv.client.client import prefix_end as prefix_end
from raftkv.client.lease import KeptLease as KeptLease
from raftkv.client.lock import HeldLock as HeldLock
from raftkv.client.tls import Tls as Tls
from raftkv.client.txn import Txn as Txn
from raftkv.client.watch import Gap as Gap
