"""The query options of a request, checked.

Owns: reading and refusing them. Must never do: act on them.
"""

from __future__ import annotations

import base64
import binascii
import json
from dataclasses import dataclass
from typing import Any

import orjson

from apiserver_shim.api.request import ApiRequest
from apiserver_shim.api.selectors import FieldSelector, LabelSelector, parse_fields, parse_labels
from apiserver_shim.api.status import ApiError, bad_request, expired
from apiserver_shim.resources.resource import Resource

CONTINUE_VERSION = "meta.k8s.io/v1"
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


@dataclass(frozen=True, slots=True)
class Continue:
    """Where the next page begins, and of which revision all pages are."""

    revision: int
    start: str

    def token(self, prefix: str) -> str:
        assert self.start.startswith(prefix), (self.start, prefix)
        body = {"v": CONTINUE_VERSION, "rv": self.revision, "start": self.start[len(prefix) :]}
        return base64.urlsafe_b64encode(json.dumps(body).encode()).decode().rstrip("=")


def parse_continue(token: str, prefix: str) -> Continue:
    """Raises 400 for what is no token of ours, or of another list."""
    try:
        body: Any = orjson.loads(base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)))
        revision, start = body["rv"], body["start"]
        if body["v"] != CONTINUE_VERSION or not isinstance(revision, int) or revision < -1:
            raise ValueError(f"rv {revision}")
        if not isinstance(start, str) or not start or start.startswith("/"):
            raise ValueError(f"start {start!r}")
    except (binascii.Error, orjson.JSONDecodeError, KeyError, TypeError, ValueError) as e:
        raise bad_request(f"continue key is not valid: {e}") from None
    return Continue(revision, prefix + start)


def list_options(request: ApiRequest, resource: Resource, prefix: str) -> ListOptions:
    query = request.query
    page = parse_continue(query["continue"], prefix) if query.get("continue") else None
    revision = _revision(query.get("resourceVersion", ""))
    match = query.get("resourceVersionMatch", "")
    _check_match(match, revision, page, request)
    return ListOptions(
        labels=parse_labels(query.get("labelSelector", "")),
        fields=parse_fields(query.get("fieldSelector", ""), resource.field_selectors),
        limit=_number(query.get("limit", "0"), "limit"),
        revision=revision,
        match=match,
        page=page,
        timeout_s=_seconds(query.get("timeoutSeconds", "")),
        bookmarks=request.flag("allowWatchBookmarks"),
        initial_events=request.flag("sendInitialEvents"),
    )


def _check_match(
    match: str, revision: int | None, page: Continue | None, request: ApiRequest
) -> None:
    if request.flag("watch"):
        if request.flag("sendInitialEvents") != (match == "NotOlderThan"):
            raise _forbidden_match(
                "sendInitialEvents: Forbidden: sendInitialEvents requires "
                "setting resourceVersionMatch to NotOlderThan"
                if request.flag("sendInitialEvents")
                else "resourceVersionMatch: Forbidden: resourceVersionMatch is forbidden for watch "
                "unless sendInitialEvents is provided"
            )
        return
    if match not in ("", "Exact", "NotOlderThan"):
        raise _forbidden_match(
            f'resourceVersionMatch: Unsupported value: "{match}": supported values: "Exact", '
            '"NotOlderThan"'
        )
    if match and (revision is None or page is not None):
        raise _forbidden_match(
            "resourceVersionMatch: Forbidden: resourceVersionMatch is forbidden unless "
            "resourceVersion is provided"
        )
    if match == "Exact" and revision == 0:
        raise _forbidden_match(
            'resourceVersionMatch: Forbidden: resourceVersionMatch "exact" is forbidden for '
            'resourceVersion "0"'
        )
    if page is not None and revision:
        raise bad_request("specifying resource version is not allowed when using continue")


def _forbidden_match(words: str) -> ApiError:
    return ApiError(422, "Invalid", f'ListOptions.meta.k8s.io "" is invalid: {words}')


def _revision(text: str) -> int | None:
    if not text:
        return None
    if not text.isdigit():
        raise bad_request(f'Invalid value: "{text}": strconv.ParseUint: parsing: invalid syntax')
    return int(text)


def _number(text: str, name: str) -> int:
    try:
        return max(int(text or "0"), 0)
    except ValueError:
        raise bad_request(f"{name}: {text!r} is no number") from None


def _seconds(text: str) -> float | None:
    if not text:
        return None
    return float(min(_number(text, "timeoutSeconds"), WATCH_SECONDS_MAX)) or None


def gone_token(page: Continue, prefix: str, current: int) -> ApiError:
    """The revision of the first page is compacted. The token in the answer goes on with newer
    data, for who can do with an inconsistent list."""
    error = expired(
        "The provided continue parameter is too old to display a consistent list result. You can "
        "start a new list without the continue parameter, or use the continue token in this "
        "response to retrieve the remainder of the results. Continuing with the provided token "
        "results in an inconsistent list - objects that were created, modified, or deleted "
        "between the time the first chunk was returned and now may show up in the list."
    )
    error.metadata = {"continue": Continue(current, page.start).token(prefix)}
    return error
