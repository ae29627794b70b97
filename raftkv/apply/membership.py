"""The members of the cluster as the log has made them: one row each in the backend.

Owns: MemberInfo, the rows of Table.MEMBERS, and the request by which a member publishes its name
and client URLs. Must never do: know Raft's own configuration, which decides who votes.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace

from raftkv.apply.header import HeaderEncoder
from raftkv.apply.state import State
from raftkv.backend.environment import Backend
from raftkv.backend.schema import Table
from raftkv.errors import Corrupt, MalformedRequest, MemberNotFound


@dataclass(frozen=True, slots=True)
class MemberInfo:
    """One row of the member list. ``name`` and ``client_urls`` are empty until it has started."""

    id: int
    name: str
    peer_urls: tuple[str, ...]
    client_urls: tuple[str, ...]
    is_learner: bool = False


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


def read_members(backend: Backend) -> list[MemberInfo]:
    """All rows, by id."""
    return [_decode(key, row) for key, row in backend.cursor(Table.MEMBERS)]


def read_member(backend: Backend, member_id: int) -> MemberInfo | None:
    key = _key(member_id)
    row = backend.get(Table.MEMBERS, key)
    return None if row is None else _decode(key, row)


def write_member(backend: Backend, member: MemberInfo) -> None:
    row = {
        "name": member.name,
        "peer_urls": member.peer_urls,
        "client_urls": member.client_urls,
        "is_learner": member.is_learner,
    }
    backend.put(Table.MEMBERS, _key(member.id), json.dumps(row, sort_keys=True).encode())


def remove_member(backend: Backend, member_id: int) -> bool:
    return backend.delete(Table.MEMBERS, _key(member_id))


def _key(member_id: int) -> bytes:
    return member_id.to_bytes(8, "big")


def _decode(key: bytes, row: bytes) -> MemberInfo:
    try:
        fields = json.loads(row)
        return MemberInfo(
            int.from_bytes(key, "big"),
            fields["name"],
            tuple(fields["peer_urls"]),
            tuple(fields["client_urls"]),
            fields["is_learner"],
        )
    except (ValueError, KeyError, TypeError) as e:
        raise Corrupt(f"the row of member {key.hex()} is unreadable: {e!r}") from e
