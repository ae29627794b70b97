"""The query options of a request, checked.

Owns: reading and refusing them. Must never do: act on them.
"""

from __future__ import annotations

import base64
import json
import posixpath
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import orjson

from apiserver_shim.api.request import ApiRequest
from apiserver_shim.api.selectors import (
    FieldSelector,
    LabelSelector,
    check_fields,
    parse_labels,
    read_fields,
)
from apiserver_shim.api.status import ApiError, bad_request, expired
from apiserver_shim.resources.resource import Resource

CONTINUE_VERSION = "meta.k8s.io/v1"
REVISION_MAX = 2**63 - 1
NEWEST = -1
WATCH_SECONDS_MAX = 24 * 3600


@dataclass(frozen=True, slots=True)
class ListOptions:
    """``revision`` is None where none was given; 0 asks for any."""

    labels: LabelSelector
    fields: FieldSelector
    limit: int
    revision: int | None
    match: str
    page: Continue | None
    timeout_s: float | None
    bookmarks: bool
    initial_events: bool

    @property
    def is_exact(self) -> bool:
        """As of that revision and no other; a limit says so too where nothing says otherwise."""
        if self.match:
            return self.match == "Exact"
        return bool(self.limit and self.revision)


@dataclass(frozen=True, slots=True)
class Continue:
    """Where the next page begins, and of which revision all pages are; ``NEWEST`` is whatever is
    newest then."""

    revision: int
    start: str

    def token(self, prefix: str) -> str:
        assert self.start.startswith(prefix), (self.start, prefix)
        body = {"v": CONTINUE_VERSION, "rv": self.revision, "start": self.start[len(prefix) :]}
        return base64.urlsafe_b64encode(json.dumps(body).encode()).decode().rstrip("=")


def parse_continue(token: str, prefix: str) -> Continue:
    """Raises 400 for what is no token of a list, or one that leads out of its prefix. A negative
    revision asks for the newest: the token of an answer that another one was too old."""
    try:
        body: Any = orjson.loads(_unpadded(token))
    except ValueError as e:
        raise _no_token(f": {e}") from None
    if not isinstance(body, dict):
        raise _no_token(f": {orjson.dumps(body).decode()} is no object")
    version, revision, start = (body.get(name) for name in ("v", "rv", "start"))
    if version != CONTINUE_VERSION:
        raise _no_token(f": server does not recognize this encoded version {version or ''}")
    if type(revision or 0) is not int or not isinstance(start or "", str):
        raise _no_token(": rv is a number and start is a string")
    if not revision or revision > REVISION_MAX:
        raise _no_token(f": incorrect encoded start resourceVersion (version {version})")
    if not start:
        raise _no_token(f": encoded start key empty (version {version})")
    rooted = start if start.startswith("/") else f"/{start}"
    if rooted.startswith("//") or posixpath.normpath(rooted) != rooted:
        raise _no_token(f": {start}")
    return Continue(max(revision, -1), prefix + rooted[1:])


def _unpadded(token: str) -> bytes:
    """Base64 in the alphabet of URLs. Raises ValueError with the place of what is none."""
    wrong = re.search(r"[^-_A-Za-z0-9\r\n]", token)
    if wrong is not None or len(token) % 4 == 1:
        at = wrong.start() if wrong is not None else len(token) - 1
        raise ValueError(f"illegal base64 data at input byte {at}")
    return base64.urlsafe_b64decode(token + "=" * (-len(token) % 4))


def _no_token(why: str) -> ApiError:
    return bad_request(f"invalid continue token: continue key is not valid{why}")


def list_options(request: ApiRequest, resource: Resource, prefix: str) -> ListOptions:
    """Raises 400 and 422, in the order in which a real apiserver looks at them."""
    query = request.query
    labels = parse_labels(query.get("labelSelector", ""))
    fields = read_fields(query.get("fieldSelector", ""))
    limit = _number(query.get("limit", ""), "limit")
    timeout_s = _seconds(query.get("timeoutSeconds", ""))
    token, match = query.get("continue", ""), query.get("resourceVersionMatch", "")
    if complaints := list(_complaints(request, match, token)):
        told = complaints[0] if len(complaints) == 1 else f"[{', '.join(complaints)}]"
        raise ApiError(422, "Invalid", f'ListOptions.meta.k8s.io "" is invalid: {told}')
    check_fields(fields, resource)
    revision = _revision(query.get("resourceVersion", ""))
    page = None
    if token and not request.flag("watch"):
        page = parse_continue(token, prefix)
        if revision:
            raise bad_request("specifying resource version is not allowed when using continue")
    return ListOptions(
        labels=labels,
        fields=fields,
        limit=limit,
        revision=revision,
        match=match,
        page=page,
        timeout_s=timeout_s,
        bookmarks=request.flag("allowWatchBookmarks"),
        initial_events=request.flag("sendInitialEvents"),
    )


def _complaints(request: ApiRequest, match: str, token: str) -> Iterator[str]:
    """What does not go together."""
    revision = request.query.get("resourceVersion", "")
    if request.flag("watch"):
        if "sendInitialEvents" in request.query:
            if match != "NotOlderThan":
                yield (
                    "resourceVersionMatch: Forbidden: sendInitialEvents requires setting "
                    "resourceVersionMatch to NotOlderThan"
                )
        elif match:
            yield (
                "resourceVersionMatch: Forbidden: resourceVersionMatch is forbidden for watch "
                "unless sendInitialEvents is provided"
            )
        return
    if match and not revision:
        yield (
            "resourceVersionMatch: Forbidden: resourceVersionMatch is forbidden unless "
            "resourceVersion is provided"
        )
    if match and token:
        yield (
            "resourceVersionMatch: Forbidden: resourceVersionMatch is forbidden when continue is "
            "provided"
        )
    if match not in ("", "Exact", "NotOlderThan"):
        yield (
            f'resourceVersionMatch: Unsupported value: "{match}": supported values: "Exact", '
            '"NotOlderThan"'
        )
    if match == "Exact" and revision == "0":
        yield (
            'resourceVersionMatch: Forbidden: resourceVersionMatch "exact" is forbidden for '
            'resourceVersion "0"'
        )
    if "sendInitialEvents" in request.query:
        yield "sendInitialEvents: Forbidden: sendInitialEvents is forbidden for list"


def _revision(text: str) -> int | None:
    if not text:
        return None
    if not re.fullmatch("[0-9]+", text) or int(text) > REVISION_MAX:
        why = "value out of range" if re.fullmatch("[0-9]+", text) else "invalid syntax"
        raise bad_request(
            f'invalid resource version: resourceVersion: Invalid value: "{text}": '
            f'strconv.ParseUint: parsing "{text}": {why}'
        )
    return int(text)


def _number(text: str, name: str) -> int:
    """Nothing, and what is below zero, count as 0."""
    if not re.fullmatch("[+-]?[0-9]*", text) or text in ("+", "-"):
        raise bad_request(f'{name}: strconv.ParseInt: parsing "{text}": invalid syntax')
    value = int(text or "0")
    if abs(value) > REVISION_MAX:
        raise bad_request(f'{name}: strconv.ParseInt: parsing "{text}": value out of range')
    return max(value, 0)


def _seconds(text: str) -> float | None:
    if not text:
        return None
    return float(min(_number(text, "timeoutSeconds"), WATCH_SECONDS_MAX)) or None


def gone_token(page: Continue, prefix: str) -> ApiError:
    """The revision of the first page is compacted. The token in the answer goes on with what is
    newest when it is used, for who can do with an inconsistent list."""
    error = expired(
        "The provided continue parameter is too old to display a consistent list result. You can "
        "start a new list without the continue parameter, or use the continue token in this "
        "response to retrieve the remainder of the results. Continuing with the provided token "
        "results in an inconsistent list - objects that were created, modified, or deleted "
        "between the time the first chunk was returned and now may show up in the list."
    )
    error.metadata = {"continue": Continue(NEWEST, page.start).token(prefix)}
    return error
