"""The members of the cluster as the log has made them: one row each in the backend.

Owns: MemberInfo, the rows of Table.MEMBERS, and the requests that change a row without changing
who votes: a member's name and client URLs, and its peer URLs. ``member_change`` has the others.
Must never do: know Raft's own configuration. A removed member's row stays, marked: its id is never
used again, and whoever still speaks under it can be told.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from raftkv.apply.header import HeaderEncoder
from raftkv.apply.state import State
from raftkv.backend.environment import Backend
from raftkv.backend.schema import Table
from raftkv.errors import Corrupt, MalformedRequest, MemberNotFound, PeerUrlExists


@dataclass(frozen=True, slots=True)
class MemberInfo:
    """One row of the member list. ``name`` and ``client_urls`` are empty until it has started.
    A learner that ``is_joining`` is given its vote by the leader once it has caught up, and then
    ``replaces`` (0: nobody) goes in the same change."""

    id: int
    name: str
    peer_urls: tuple[str, ...]
    client_urls: tuple[str, ...]
    is_learner: bool = False
    is_joining: bool = False
    replaces: int = 0

    @property
    def has_started(self) -> bool:
        """Whether it has published itself. Its first act in a cluster, or close to it."""
        return bool(self.name)


def encode_attributes(member_id: int, name: str, client_urls: Sequence[str]) -> bytes:
    """The payload of a MEMBER_ATTRIBUTES request."""
    return json.dumps({"id": member_id, "name": name, "client_urls": list(client_urls)}).encode()


def apply_member_attributes(state: State, payload: bytes, header: HeaderEncoder | None) -> bytes:
    """The reply is empty. Raises MemberNotFound: a removed member is not made anew."""
    try:
        fields = json.loads(payload)
        member_id, name = int(fields["id"]), str(fields["name"])
        client_urls = tuple(str(url) for url in fields["client_urls"])
    except (ValueError, KeyError, TypeError) as e:
        raise MalformedRequest(f"member attributes: {e!r}") from None
    member = read_member(state.backend, member_id)
    if member is None:
        raise MemberNotFound(f"{member_id:x} is no member")
    write_member(state.backend, replace(member, name=name, client_urls=client_urls))
    return b""


def encode_update(member_id: int, peer_urls: Sequence[str]) -> bytes:
    """The payload of a MEMBER_UPDATE request."""
    return json.dumps({"id": member_id, "peer_urls": list(peer_urls)}).encode()


def apply_member_update(state: State, payload: bytes, header: HeaderEncoder | None) -> bytes:
    """New peer URLs. The reply is empty. Raises MemberNotFound, PeerUrlExists."""
    try:
        fields = json.loads(payload)
        member_id = int(fields["id"])
        peer_urls = tuple(str(url) for url in fields["peer_urls"])
    except (ValueError, KeyError, TypeError) as e:
        raise MalformedRequest(f"member update: {e!r}") from None
    member = read_member(state.backend, member_id)
    if member is None:
        raise MemberNotFound(f"{member_id:x} is no member")
    others = [row for row in read_members(state.backend) if row.id != member_id]
    check_urls_are_free(others, peer_urls)
    write_member(state.backend, replace(member, peer_urls=peer_urls))
    return b""


def check_urls_are_free(rows: Iterable[MemberInfo], peer_urls: Sequence[str]) -> None:
    """Raises PeerUrlExists."""
    for row in rows:
        taken = set(row.peer_urls) & set(peer_urls)
        if taken:
            raise PeerUrlExists(f"{', '.join(sorted(taken))} is a peer URL of {row.id:x}")


def read_members(backend: Backend) -> list[MemberInfo]:
    """The rows of all who are members, by id."""
    return [row for row, removed in _rows(backend) if not removed]


def read_removed(backend: Backend) -> list[MemberInfo]:
    """The rows of all who were members, as they were last."""
    return [row for row, removed in _rows(backend) if removed]


def read_member(backend: Backend, member_id: int) -> MemberInfo | None:
    row = backend.get(Table.MEMBERS, _key(member_id))
    if row is None:
        return None
    member, removed = _decode(_key(member_id), row)
    return None if removed else member


def write_member(backend: Backend, member: MemberInfo, *, removed: bool = False) -> None:
    row: dict[str, object] = {
        "name": member.name,
        "peer_urls": member.peer_urls,
        "client_urls": member.client_urls,
        "is_learner": member.is_learner,
    }
    if member.is_joining:  # 0.1.0 reads over both: there, it is a learner like any other
        row |= {"is_joining": True, "replaces": member.replaces}
    if removed:
        row["removed"] = True
    backend.put(Table.MEMBERS, _key(member.id), json.dumps(row, sort_keys=True).encode())


def forget_members(backend: Backend) -> None:
    """Empty the table, of removed members too: a restored backup is another cluster's."""
    for row, _ in _rows(backend):
        backend.delete(Table.MEMBERS, _key(row.id))


def was_ever_member(backend: Backend, member_id: int) -> bool:
    return backend.get(Table.MEMBERS, _key(member_id)) is not None


def _rows(backend: Backend) -> list[tuple[MemberInfo, bool]]:
    return [_decode(key, row) for key, row in backend.cursor(Table.MEMBERS)]


def _key(member_id: int) -> bytes:
    return member_id.to_bytes(8, "big")


def _decode(key: bytes, row: bytes) -> tuple[MemberInfo, bool]:
    """A row, and whether it is a removed member's."""
    try:
        fields = json.loads(row)
        member = MemberInfo(
            int.from_bytes(key, "big"),
            fields["name"],
            tuple(fields["peer_urls"]),
            tuple(fields["client_urls"]),
            fields["is_learner"],
            bool(fields.get("is_joining", False)),
            int(fields.get("replaces", 0)),
        )
        return member, bool(fields.get("removed", False))
    except (ValueError, KeyError, TypeError) as e:
        raise Corrupt(f"the row of member {key.hex()} is unreadable: {e!r}") from e
