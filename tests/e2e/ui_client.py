"""A member's page as a browser has it, without one: its stream, its questions and its buttons.

Owns: UiStream and UiClient. Must never do: know more of the program than its HTTP.
"""

from __future__ import annotations

import base64
import http.client
import json
import threading
from typing import Any
from urllib.parse import urlencode, urlsplit

ANSWER_SECONDS = 30


class UiClient:
    """``url`` is a member's page."""

    def __init__(self, url: str) -> None:
        self.url = url
        parts = urlsplit(url)
        assert parts.hostname is not None, url
        assert parts.port is not None, url
        self._place = (parts.hostname, parts.port)

    def get(self, path: str, **query: object) -> Any:
        """The answer's JSON. Bytes in the query are base64url."""
        texts = {
            name.rstrip("_"): encoded(value) if isinstance(value, bytes) else str(value)
            for name, value in query.items()
        }
        return self._ask("GET", f"{path}?{urlencode(texts)}", None)

    def post(self, path: str, body: object) -> Any:
        return self._ask("POST", path, json.dumps(body))

    def open(self) -> UiStream:
        return UiStream(*self._place)

    def _ask(self, method: str, target: str, body: str | None) -> Any:
        connection = http.client.HTTPConnection(*self._place, timeout=ANSWER_SECONDS)
        try:
            connection.request(method, target, body, {"X-Raftkv-UI": "1"})
            response = connection.getresponse()
            answer = response.read()
            assert response.status == 200, (target, response.status, answer)
            return json.loads(answer)
        finally:
            connection.close()


class UiStream:
    """An open page. What came is read by a thread; the stream may end by itself."""

    def __init__(self, host: str, port: int) -> None:
        self._connection = http.client.HTTPConnection(host, port, timeout=ANSWER_SECONDS)
        self._connection.request("GET", "/api/stream")
        self._response = self._connection.getresponse()
        assert self._response.status == 200, self._response.read()
        self._events: list[tuple[str, dict[str, Any]]] = []
        self.has_ended = False
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def close(self) -> None:
        if self._connection.sock is not None:
            self._connection.sock.close()
        self._response.close()
        self._thread.join(ANSWER_SECONDS)

    def of(self, name: str) -> list[dict[str, Any]]:
        """The data of all such events so far."""
        return [data for kind, data in list(self._events) if kind == name]

    @property
    def members(self) -> dict[str, dict[str, Any]]:
        """The newest rows, by name."""
        states = self.of("cluster")
        return {row["name"]: row for row in states[-1]["members"]} if states else {}

    @property
    def leader(self) -> str | None:
        """The name of the only member that leads and can be reached, if there is one."""
        leading = [
            name
            for name, row in self.members.items()
            if row["state"] == "leader" and row["reachable"]
        ]
        return leading[0] if len(leading) == 1 else None

    def happened(self, member: str, what: str) -> list[dict[str, Any]]:
        """To the member, since this page was opened."""
        ids = {name: row["id"] for name, row in self.members.items()}
        return [
            each
            for each in self.of("happening")
            if each["member"] == ids[member] and each["what"] == what and not each.get("past")
        ]

    def messages(self, sender: str, to: str, *, lost: bool) -> list[dict[str, Any]]:
        ids = {name: row["id"] for name, row in self.members.items()}
        return [
            each
            for batch in self.of("messages")
            for each in batch["messages"]
            if (each["from"], each["to"], each["lost"]) == (ids[sender], ids[to], lost)
        ]

    def _read(self) -> None:
        name = ""
        try:
            for line in self._response:
                head, _, value = line.decode().rstrip("\n").partition(": ")
                if head == "event":
                    name = value
                elif head == "data":
                    self._events.append((name, json.loads(value)))
        except (OSError, http.client.HTTPException, ValueError, AttributeError):
            pass  # the member was killed, or the test has closed the stream
        self.has_ended = True


def encoded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
