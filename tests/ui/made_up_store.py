"""Keys with their versions, as a member would tell them to its page.

Owns: MadeUpStore: puts and deletes at revisions of their own, and the answers of the contract's
/api/keys, /api/key, /api/history and /api/diff. Must never do: know of HTTP or of time.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass, field
from typing import Any


def coded(octets: bytes) -> str:
    return base64.urlsafe_b64encode(octets).decode().rstrip("=")


def decoded(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def text_of(octets: bytes) -> str | None:
    try:
        return octets.decode()
    except UnicodeDecodeError:
        return None


@dataclass
class Version:
    """``value`` None: the key was deleted."""

    revision: int
    version: int
    created: int
    value: bytes | None


@dataclass
class MadeUpStore:
    revision: int = 1
    keys: dict[bytes, list[Version]] = field(default_factory=dict)

    def put(self, key: bytes, value: bytes) -> None:
        self.revision += 1
        versions = self.keys.setdefault(key, [])
        last = versions[-1] if versions and versions[-1].value is not None else None
        number, created = (last.version + 1, last.created) if last else (1, self.revision)
        versions.append(Version(self.revision, number, created, value))

    def delete(self, key: bytes) -> None:
        self.revision += 1
        self.keys[key].append(Version(self.revision, 0, 0, None))

    def at(self, key: bytes, revision: int) -> Version | None:
        past = [one for one in self.keys.get(key, []) if one.revision <= revision]
        return past[-1] if past and past[-1].value is not None else None

    def list(self, prefix: bytes, after: bytes, limit: int, revision: int) -> dict[str, Any]:
        live = [
            key for key in sorted(self.keys) if key.startswith(prefix) and self.at(key, revision)
        ]
        rest = [key for key in live if key > after]
        rows = []
        for key in rest[:limit]:
            one = self.at(key, revision)
            assert one is not None
            assert one.value is not None
            rows.append(
                {
                    "key": coded(key),
                    "text": key.decode(errors="replace"),
                    "version": one.version,
                    "create_revision": one.created,
                    "mod_revision": one.revision,
                    "lease": "",
                    "bytes": len(key) + len(one.value),
                }
            )
        more = len(rest) > limit
        answer: dict[str, Any] = {"revision": revision, "compact_revision": 0, "keys": rows}
        return answer | {"more": more, "count": len(live), "next": rows[-1]["key"] if more else ""}

    def value(self, key: bytes, revision: int) -> dict[str, Any] | None:
        one = self.at(key, revision)
        if one is None or one.value is None:
            return None
        return {
            "revision": revision,
            "key": coded(key),
            "text": key.decode(errors="replace"),
            "value": coded(one.value),
            "value_text": text_of(one.value),
            "truncated": False,
            "version": one.version,
            "create_revision": one.created,
            "mod_revision": one.revision,
            "lease": "",
            "bytes": len(one.value),
        }

    def history(self, key: bytes, before: int | None, limit: int) -> dict[str, Any]:
        past = [one for one in self.keys.get(key, []) if before is None or one.revision < before]
        past.reverse()
        rows = [
            {
                "revision": one.revision,
                "type": "put" if one.value is not None else "delete",
                "version": one.version,
                "lease": "",
                "bytes": len(one.value or b""),
                "value": coded(one.value or b""),
                "value_text": text_of(one.value or b""),
            }
            for one in past[:limit]
        ]
        return {"versions": rows, "more": len(past) > limit, "compact_revision": 0}

    def diff(self, start: int, end: int, prefix: bytes, after: bytes, limit: int) -> dict[str, Any]:
        changes = []
        for key in sorted(self.keys):
            old, new = self.at(key, start), self.at(key, end)
            values = (old.value if old else None, new.value if new else None)
            if not key.startswith(prefix) or key <= after or values[0] == values[1]:
                continue
            change = "added" if old is None else "removed" if new is None else "changed"
            row: dict[str, Any] = {"key": coded(key), "text": key.decode(errors="replace")}
            for side, value in zip(("from", "to"), values, strict=True):
                row[f"{side}_value"] = None if value is None else coded(value)
                row[f"{side}_value_text"] = None if value is None else text_of(value)
            changes.append(row | {"change": change})
        more = len(changes) > limit
        shown = changes[:limit]
        follow = shown[-1]["key"] if more else ""
        return {"from": start, "to": end, "changes": shown, "more": more, "next": follow}
