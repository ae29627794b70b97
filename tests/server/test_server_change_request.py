"""What members ask and tell each other about changes of members, and the claim of one."""

from __future__ import annotations

import pytest

from raftkv.errors import ChangePending, NotEnoughStartedMembers, PeerUrlRefused, UnhealthyCluster
from raftkv.rpc.errors import status_of
from raftkv.server.change_claim import ChangeClaim
from raftkv.server.change_request import ChangeKind, ChangeRequest, Quorum, Review
from raftkv.server.status import MemberInfo

ROW = MemberInfo(1, "m", ("http://m:1",), ())


@pytest.mark.parametrize("kind", list(ChangeKind))
def test_a_request_arrives_as_it_was(kind: ChangeKind) -> None:
    """All its fields, with numbers of any size."""
    request = ChangeRequest(kind, 7, ("http://n:1",), is_unsafe=True, number=1 << 100)
    assert ChangeRequest.decode(request.encode()) == request


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b"1", b'["no",0,[],0,0]', b'["add",0,3,0,0]'])
def test_what_is_no_request_is_none(data: bytes) -> None:
    """A leader says nothing to it, and does not fall over it."""
    assert ChangeRequest.decode(data) is None


@pytest.mark.parametrize("kind", [UnhealthyCluster, NotEnoughStartedMembers, PeerUrlRefused])
def test_a_review_brings_its_refusal(kind: type[UnhealthyCluster]) -> None:
    """Of the same class, so that the client of another member gets the same status."""
    quorum = Quorum((1, 2, 3), (1, 2))
    review = Review(quorum, Quorum((1, 2, 3, 0), (1, 2)), ("note",), kind("why"))
    found = Review.decode(review.encode())
    assert found is not None
    assert (found.before, found.after, found.notes) == (quorum, review.after, ("note",))
    assert (type(found.refusal), str(found.refusal)) == (kind, "why")
    assert (found.before.needed, found.before.is_there) == (2, True)
    assert (found.after.needed, found.after.is_there) == (3, False)


@pytest.mark.parametrize("data", [b"", b"{}", b"[]", b'{"before":1,"after":1,"notes":[]}'])
def test_what_is_no_review_is_none(data: bytes) -> None:
    """Whoever asked is told that it cannot be read."""
    assert Review.decode(data) is None


def test_a_claim_lasts_until_the_change_has_happened_or_cannot_any_more() -> None:
    """Whoever has it may ask again; others wait; etcd's clients read "unhealthy cluster"."""
    rows = [ROW]
    claim = ChangeClaim(lambda: rows, 7.0)
    claim.check(b"a", 0.0)
    claim.take(b"a", 0.0)
    claim.check(b"a", 1.0)
    with pytest.raises(ChangePending) as refused:
        claim.check(b"b", 1.0)
    assert status_of(refused.value).message == "etcdserver: unhealthy cluster"
    claim.check(b"b", 7.0)
    rows.append(MemberInfo(2, "", ("http://n:1",), ()))
    claim.check(b"b", 1.0)
