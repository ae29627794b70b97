"""What the page's API answers: JSON, or a refusal that says what to do.

Owns: Refusal, and errors of ours as HTTP's. Must never do: decide who may ask.
"""

from __future__ import annotations

from collections.abc import Mapping

from raftkv.errors import AuthFailed, AuthOldRevision, InvalidAuthToken, UserEmpty
from raftkv.gateway.json_api import http_status_of
from raftkv.rpc.errors import Code, status_of
from raftkv.ui.text import compact
from raftkv.wire.service import HttpResponse

JSON = "application/json"
_NO_STORE = {"cache-control": "no-store"}
_LOGIN = "log in: POST name and password to /api/login, then send Authorization: Bearer TOKEN"
_NOT_LOGGED_IN = (UserEmpty, InvalidAuthToken, AuthOldRevision, AuthFailed)


class Refusal(Exception):
    """``text`` says what to do next."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status
        self.text = text


def json_answer(value: object, status: int = 200) -> HttpResponse:
    return HttpResponse(status, compact(value), JSON, _NO_STORE)


def refused(refusal: Refusal, headers: Mapping[str, str] | None = None) -> HttpResponse:
    body = compact({"error": refusal.text})
    return HttpResponse(refusal.status, body, JSON, {**_NO_STORE, **(headers or {})})


def refusal_of(error: Exception) -> Refusal:
    """An error of the member as the page has it. What is not ours is logged, and is a 500."""
    if isinstance(error, Refusal):
        return error
    status = status_of(error)
    text = status.message
    if isinstance(error, _NOT_LOGGED_IN):
        return Refusal(401, f"{text}: {_LOGIN}")
    if status.code == Code.PERMISSION_DENIED:
        return Refusal(403, f"{text}: log in as a user who may, or as one with the role root")
    return Refusal(http_status_of(status), text)
