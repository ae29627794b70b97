"""What is wrong with a request whatever the state: found before it is proposed.

Owns: the field checks of Range, Put and DeleteRange. Must never do: look at the store.
"""

from __future__ import annotations

from raftkv.api.rpc_pb2 import DeleteRangeRequest, PutRequest
from raftkv.errors import EmptyKey, LeaseProvided, ValueProvided


def check_put(request: PutRequest) -> None:
    if not request.key:
        raise EmptyKey("a put needs a key")
    if request.ignore_value and request.value:
        raise ValueProvided("ignore_value and a value")
    if request.ignore_lease and request.lease:
        raise LeaseProvided("ignore_lease and a lease")


def check_delete_range(request: DeleteRangeRequest) -> None:
    if not request.key:
        raise EmptyKey("a delete needs a key")
