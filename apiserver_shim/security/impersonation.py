"""Impersonate-User and its kin: to act as somebody else, for who may.

Owns: reading the headers and asking for each of them. Must never do: let a header through that was
not asked about.
"""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import unquote

from multidict import CIMultiDictProxy

from apiserver_shim.api.status import bad_request
from apiserver_shim.api.user import (
    ANONYMOUS,
    AUTHENTICATED,
    UNAUTHENTICATED,
    User,
    account_groups,
    account_of,
)
from apiserver_shim.security.attributes import Attributes, refused
from apiserver_shim.security.authorizer import Authorizer

_USER, _GROUP, _UID = "Impersonate-User", "Impersonate-Group", "Impersonate-Uid"
_EXTRA = "impersonate-extra-"
_GROUP_OF_EXTRAS = "authentication.k8s.io"
HEADERS_MAX = 128
"""Headers of one request: each is a question to the authorizer."""


def impersonated(user: User, headers: CIMultiDictProxy[str], authorizer: Authorizer) -> User:
    """Whom the request is to be taken for. Raises 403 unless that is allowed."""
    named = [name for name in headers if name.lower().startswith("impersonate-")]
    if not named:
        return user
    if len(named) > HEADERS_MAX:
        raise bad_request(f"{len(named)} impersonation headers, the limit is {HEADERS_MAX}")
    wanted = _wanted(headers, named)
    for asked in _questions(user, wanted):
        if not authorizer.allows(asked):
            raise refused(asked)
    return _complete(wanted)


def _wanted(headers: CIMultiDictProxy[str], named: list[str]) -> User:
    """As the headers say it, nothing added."""
    extra: dict[str, list[str]] = {}
    for header in dict.fromkeys(name.lower() for name in named):
        if header.startswith(_EXTRA):
            extra[unquote(header.removeprefix(_EXTRA))] = list(headers.getall(header))
        elif header not in (_USER.lower(), _GROUP.lower(), _UID.lower()):
            raise bad_request(f"unknown impersonation header {header}")
    name = headers.get(_USER, "")
    if not name:
        raise bad_request("groups, uids and extras are impersonated together with a user only")
    groups = tuple(headers.getall(_GROUP, ()))
    return User(name, groups, headers.get(_UID, ""), extra)


def _questions(user: User, wanted: User) -> Iterator[Attributes]:
    account = account_of(wanted.name)
    if account is not None:
        namespace, name = account
        yield Attributes(user, "impersonate", "", "serviceaccounts", "", namespace, name)
    else:
        yield Attributes(user, "impersonate", "", "users", name=wanted.name)
    for group in wanted.groups:
        yield Attributes(user, "impersonate", "", "groups", name=group)
    if wanted.uid:
        yield Attributes(user, "impersonate", _GROUP_OF_EXTRAS, "uids", name=wanted.uid)
    for key, values in wanted.extra.items():
        for value in values:
            yield Attributes(user, "impersonate", _GROUP_OF_EXTRAS, "userextras", key, name=value)


def _complete(wanted: User) -> User:
    """With the groups that everybody of its sort is in."""
    groups = wanted.groups
    account = account_of(wanted.name)
    if account is not None and not groups:
        groups = account_groups(account[0])
    if wanted.name == ANONYMOUS:
        groups = (*groups, UNAUTHENTICATED) if UNAUTHENTICATED not in groups else groups
    elif AUTHENTICATED not in groups and UNAUTHENTICATED not in groups:
        groups = (*groups, AUTHENTICATED)
    return User(wanted.name, groups, wanted.uid, wanted.extra)
