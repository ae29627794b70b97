"""What `raftkv local` tells its members of all of them: who runs, and which links are cut.

Owns: LocalState, and the lines of the control socket that carry it. Must never do: act on it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

ACTIONS = ("stop", "kill", "pause", "resume", "restart")


@dataclass(frozen=True, slots=True)
class LocalMemberState:
    """``process`` is running, paused or stopped."""

    process: str
    peer_url: str
    ui_url: str


@dataclass(frozen=True, slots=True)
class LocalState:
    """Members by name. Each cut is a pair of names, in order."""

    members: Mapping[str, LocalMemberState] = field(default_factory=dict)
    cuts: frozenset[tuple[str, str]] = frozenset()

    def encode(self) -> bytes:
        """One line."""
        members = {
            name: {"process": each.process, "peer_url": each.peer_url, "ui_url": each.ui_url}
            for name, each in self.members.items()
        }
        return json.dumps({"members": members, "cuts": sorted(self.cuts)}).encode() + b"\n"

    @classmethod
    def decode(cls, line: bytes) -> LocalState:
        """Raises ValueError."""
        try:
            said: dict[str, Any] = json.loads(line)
            members = {
                str(name): LocalMemberState(each["process"], each["peer_url"], each["ui_url"])
                for name, each in said["members"].items()
            }
            return cls(members, frozenset((str(a), str(b)) for a, b in said["cuts"]))
        except (ValueError, KeyError, TypeError, AttributeError) as e:
            raise ValueError(f"no state of `raftkv local`: {line[:80]!r}: {e!r}") from None

    def name_at(self, peer_urls: tuple[str, ...]) -> str:
        """The member at one of these peer URLs; "" if there is none."""
        for name, each in self.members.items():
            if each.peer_url in peer_urls:
                return name
        return ""

    def cut_from(self, name: str) -> set[str]:
        """Whom ``name`` must not reach."""
        return {other for pair in self.cuts if name in pair for other in pair if other != name}
