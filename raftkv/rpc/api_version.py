"""The metadata ``client-api-version``: etcd counts its values, and so wants them to be text.

Owns: refusing what is none. Must never do: look at anything else of a call.
"""

from __future__ import annotations

from collections.abc import Mapping

from raftkv.errors import InvalidApiVersion
from raftkv.rpc.errors import status_of
from raftkv.wire.service import Status

NAME = "client-api-version"


def vet_api_version(metadata: Mapping[str, str]) -> Status | None:
    """The wire keeps bytes that are no UTF-8 as lone surrogates."""
    try:
        metadata.get(NAME, "").encode()
    except UnicodeEncodeError as e:
        return status_of(InvalidApiVersion(f"{NAME} is no UTF-8: {e.reason}"))
    return None
