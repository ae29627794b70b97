"""One object as the store has it: JSON bytes, and the revision that is its resourceVersion.

Owns: the bytes that clients get, made from the bytes that the store keeps by putting the
resourceVersion in, without parsing. Must never do: change what is stored.
"""

from __future__ import annotations

from typing import Any

import orjson

from apiserver_shim.api.status import bad_request

_META = b'"metadata":{'


class StoredObject:
    """``raw`` is what clients get. ``object`` is it parsed, once, for who needs to look inside;
    it belongs to all who hold this: copy before changing."""

    __slots__ = ("_object", "key", "raw", "revision")

    def __init__(self, key: str, value: bytes, revision: int) -> None:
        self.key = key
        self.revision = revision
        self.raw = _with_revision(value, revision)
        self._object: dict[str, Any] | None = None

    @property
    def object(self) -> dict[str, Any]:
        if self._object is None:
            self._object = orjson.loads(self.raw)
        return self._object

    def copy(self) -> dict[str, Any]:
        """Parsed anew: the caller's own."""
        found: dict[str, Any] = orjson.loads(self.raw)
        return found

    @property
    def name(self) -> str:
        return self.key.rpartition("/")[2]


def _with_revision(value: bytes, revision: int) -> bytes:
    """We write metadata early and never with a resourceVersion; others may have written it in
    another way, and then it is parsed."""
    at = value.find(_META)
    if at < 0 or value.count(b"{", 0, at) != 1 or b'"resourceVersion"' in value[at : at + 4096]:
        found = orjson.loads(value)
        found.setdefault("metadata", {})["resourceVersion"] = str(revision)
        return orjson.dumps(found)
    at += len(_META)
    comma = b"" if value[at : at + 1] == b"}" else b","
    return b'%b"resourceVersion":"%d"%b%b' % (value[:at], revision, comma, value[at:])


def encoded(obj: dict[str, Any]) -> bytes:
    """As the store keeps it: kind and metadata first, no resourceVersion. Raises 400 for what is
    nested too deep."""
    metadata = {
        k: v for k, v in obj["metadata"].items() if k not in ("resourceVersion", "selfLink")
    }
    head = {"kind": obj["kind"], "apiVersion": obj["apiVersion"], "metadata": metadata}
    rest = {key: value for key, value in obj.items() if key not in head}
    try:
        return orjson.dumps(head | rest)
    except orjson.JSONEncodeError as e:
        raise bad_request(f"the object cannot be stored: {e}") from None
