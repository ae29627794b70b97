"""metadata: what the server owns of it, and what it asks of the rest.

Owns: names, uids, timestamps, generation and the checks that every kind shares. Must never do: look
into spec or status.
"""

from __future__ import annotations

import re
import uuid
from datetime import UTC, datetime
from random import Random
from typing import Any

from apiserver_shim.api.status import Cause, bad_request, invalid
from apiserver_shim.resources.resource import Resource

SUFFIX_CHARACTERS = "bcdfghjklmnpqrstvwxz2456789"
SUFFIX_LENGTH = 5
NAME_BYTES_MAX = 253
GENERATED_BASE_MAX = 63 - SUFFIX_LENGTH

_LABEL = r"[a-z0-9]([-a-z0-9]*[a-z0-9])?"
_SUBDOMAIN = re.compile(rf"^{_LABEL}(\.{_LABEL})*\Z")
_DNS_LABEL = re.compile(rf"^{_LABEL}\Z")
_DNS_LABEL_1035 = re.compile(r"^[a-z]([-a-z0-9]*[a-z0-9])?\Z")
_LOOSE = ("roles", "clusterroles", "rolebindings", "clusterrolebindings")
"""Their names may be any path segment: system:node, say."""
_LABELLED = ("namespaces",)
_LABELLED_1035 = ("services",)

_SUBDOMAIN_WORDS = (
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or "
    "'.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used "
    "for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"
)
_LABEL_WORDS = (
    "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and "
    "must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used "
    "for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')"
)
_LABEL_1035_WORDS = (
    "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an "
    "alphabetic character, and end with an alphanumeric character (e.g. 'my-name',  or "
    "'abc-123', regex used for validation is '[a-z]([-a-z0-9]*[a-z0-9])?')"
)


def timestamp(now: datetime) -> str:
    return now.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def metadata_of(obj: dict[str, Any]) -> dict[str, Any]:
    """Raises 400 for an object whose metadata is no object."""
    metadata = obj.setdefault("metadata", {})
    if not isinstance(metadata, dict):
        raise bad_request("metadata: expected an object")
    return metadata


def begin(
    obj: dict[str, Any], resource: Resource, namespace: str, now: datetime, random: Random
) -> None:
    """Make ``obj`` one that is about to be created: the server's own fields, whatever came."""
    metadata = metadata_of(obj)
    if metadata.get("resourceVersion"):
        raise bad_request("resourceVersion should not be set on objects to be created")
    place(metadata, resource, namespace)
    if not metadata.get("name") and metadata.get("generateName"):
        base = str(metadata["generateName"])[:GENERATED_BASE_MAX]
        metadata["name"] = base + "".join(random.choices(SUFFIX_CHARACTERS, k=SUFFIX_LENGTH))
    metadata["uid"] = str(uuid.UUID(int=random.getrandbits(128), version=4))
    metadata["creationTimestamp"] = timestamp(now)
    for server_owned in (
        "deletionTimestamp",
        "deletionGracePeriodSeconds",
        "selfLink",
        "generation",
    ):
        metadata.pop(server_owned, None)
    if resource.spec_generation or resource.is_custom:
        metadata["generation"] = 1
    check_name(resource, str(metadata.get("name", "")))


def place(metadata: dict[str, Any], resource: Resource, namespace: str) -> None:
    """Its namespace is the path's. Raises 400 where it says another."""
    if not resource.namespaced:
        if metadata.pop("namespace", ""):
            raise bad_request("namespace should not be set on cluster-scoped objects")
    elif metadata.setdefault("namespace", namespace) != namespace:
        raise bad_request(
            "the namespace of the provided object does not match the namespace sent on the request"
        )


def check_name(resource: Resource, name: str) -> None:
    """Raises 422 for a name that the kind does not allow."""
    if not name:
        words = "Required value: name or generateName is required"
        raise invalid(resource, "", [Cause("FieldValueRequired", words, "metadata.name")])
    pattern, words, limit = _SUBDOMAIN, _SUBDOMAIN_WORDS, NAME_BYTES_MAX
    if resource.plural in _LABELLED:
        pattern, words, limit = _DNS_LABEL, _LABEL_WORDS, 63
    elif resource.plural in _LABELLED_1035:
        pattern, words, limit = _DNS_LABEL_1035, _LABEL_1035_WORDS, 63
    elif resource.plural in _LOOSE:
        if name not in (".", "..") and not set("/%") & set(name):
            return
        words = "may not be '.' or '..', or contain '/' or '%'"
    elif len(name) <= limit and pattern.match(name):
        return
    if len(name) > limit:
        words = f"must be no more than {limit} bytes"
    elif pattern.match(name) and resource.plural not in _LOOSE:
        return
    told = f'Invalid value: "{name}": {words}'
    raise invalid(resource, name, [Cause("FieldValueInvalid", told, "metadata.name")])


def carry_over(new: dict[str, Any], old: dict[str, Any]) -> None:
    """What an update cannot change stays as it was."""
    metadata, before = metadata_of(new), old["metadata"]
    for owned in (
        "uid",
        "creationTimestamp",
        "deletionTimestamp",
        "deletionGracePeriodSeconds",
        "generation",
        "generateName",
    ):
        if owned in before:
            metadata[owned] = before[owned]
        else:
            metadata.pop(owned, None)


def revision_of(obj: dict[str, Any]) -> int:
    """The resourceVersion it names; 0 for none. Raises 400 for one that is no number."""
    text = metadata_of(obj).get("resourceVersion") or "0"
    if not str(text).isdigit():
        raise bad_request(f'invalid resource version: "{text}"')
    return int(text)


def differs_but_for_metadata(new: dict[str, Any], old: dict[str, Any]) -> bool:
    """Whether the generation counts it."""
    ours = ("metadata", "status")
    return {k: v for k, v in new.items() if k not in ours} != {
        k: v for k, v in old.items() if k not in ours
    }
