"""The bytes of a batch."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raftkv.apply.batch import Batch, RequestKind, decode_batch, encode_batch
from raftkv.errors import Corrupt

u64 = st.integers(0, 2**64 - 1)
requests = st.lists(st.tuples(st.integers(0, 255), st.binary(max_size=300)), min_size=1)


@given(u64, u64, requests)
def test_a_batch_is_read_back_as_it_was_written(
    origin: int, sequence: int, pairs: list[tuple[int, bytes]]
) -> None:
    """Encode and decode any batch: nothing is lost and nothing is added."""
    assert decode_batch(encode_batch(origin, sequence, pairs)) == Batch(origin, sequence, pairs)


@given(st.lists(st.binary(min_size=1, max_size=20), min_size=1, max_size=3), st.data())
def test_a_cut_batch_is_corrupt(payloads: list[bytes], data: st.DataObject) -> None:
    """Cut a batch inside any request: it is refused, never read as fewer requests."""
    whole = encode_batch(1, 2, [(1, payload) for payload in payloads])
    ends = {16}
    for payload in payloads:
        ends.add(max(ends) + 5 + len(payload))
    cut = data.draw(st.sampled_from(sorted(set(range(len(whole))) - ends)))
    with pytest.raises(Corrupt):
        decode_batch(whole[:cut])


def test_the_layout_is_the_one_that_old_logs_have() -> None:
    """Byte for byte: a change here makes every log that exists unreadable."""
    assert encode_batch(0x0102, 3, [(RequestKind.PUT, b"ab"), (RequestKind.TXN, b"")]) == (
        b"\x02\x01\0\0\0\0\0\0" + b"\x03\0\0\0\0\0\0\0" + b"\x01\x02\0\0\0ab" + b"\x03\0\0\0\0"
    )
    assert {kind.name: kind.value for kind in RequestKind} == {
        "PUT": 1,
        "DELETE_RANGE": 2,
        "TXN": 3,
        "COMPACT": 4,
        "LEASE_GRANT": 5,
        "LEASE_REVOKE": 6,
        "LEASE_EXPIRY": 7,
        "LEASE_CHECKPOINTS": 8,
        "MEMBER_ATTRIBUTES": 10,
        "MEMBER_UPDATE": 11,
        "CLUSTER_LEVEL": 12,
        "STATE_ORIGIN": 20,
        "SPACE_BEGIN": 14,
        "SPACE_BASE": 15,
        "SPACE_QUOTA": 16,
        "PREFIX_QUOTA": 17,
        "ALARM": 40,
        "AUTH_ENABLE": 50,
        "AUTH_DISABLE": 51,
        "AUTH_ASSIGN_TOKEN": 52,
        "USER_ADD": 53,
        "USER_DELETE": 54,
        "USER_CHANGE_PASSWORD": 55,
        "USER_GRANT_ROLE": 56,
        "USER_REVOKE_ROLE": 57,
        "ROLE_ADD": 58,
        "ROLE_DELETE": 59,
        "ROLE_GRANT_PERMISSION": 60,
        "ROLE_REVOKE_PERMISSION": 61,
        "AS_USER": 70,
        "AS_MEMBER": 71,
    }
