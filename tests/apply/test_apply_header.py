"""Response headers as bytes."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from raftkv.api.rpc_pb2 import PutResponse, ResponseHeader
from raftkv.apply.header import HeaderEncoder

u64 = st.integers(0, 2**64 - 1)


@given(u64, u64, u64, st.lists(st.integers(0, 2**63 - 1), max_size=5))
def test_any_header_is_what_protobuf_makes(
    cluster_id: int, member_id: int, term: int, revisions: list[int]
) -> None:
    """One encoder, revisions in any order: each field equals protobuf's own encoding."""
    encoder = HeaderEncoder(cluster_id, member_id, term)
    for revision in revisions:
        header = PutResponse.FromString(encoder.field(revision)).header
        assert header == ResponseHeader(
            cluster_id=cluster_id, member_id=member_id, revision=revision, raft_term=term
        )


def test_revisions_in_sequence_cross_every_length() -> None:
    """Count through the points where the revision's encoding grows."""
    encoder = HeaderEncoder(1, 2, 3)
    for middle in (128, 2**14, 2**21, 2**28):
        for revision in range(middle - 3, middle + 3):
            header = ResponseHeader(cluster_id=1, member_id=2, revision=revision, raft_term=3)
            assert encoder.field(revision) == PutResponse(header=header).SerializeToString()
