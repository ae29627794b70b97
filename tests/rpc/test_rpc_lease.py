"""The Lease service: what is chosen and refused before the log, and the order of keep-alives."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

import pytest
from fake_member import FakeCall, FakeMember, failure, reply

from raftkv.api import rpc_pb2 as api
from raftkv.errors import MalformedRequest, RaftKVError, RequestTimeout
from raftkv.lease.book import LeaseBook
from raftkv.rpc.keep_alives import KeepAlives
from raftkv.rpc.lease import lease_service
from raftkv.server.leasing import TimeLeft
from raftkv.wire.service import Service, Status

Renewed = Callable[[int | RaftKVError], None]


class FakeDesk:
    """Renewals wait in ``renewals`` until the test answers them."""

    def __init__(self, book: LeaseBook) -> None:
        self.book = book
        self.renewals: dict[int, Renewed] = {}
        self.left = TimeLeft(-1, 0)

    def renew(self, lease_id: int, renewed: Renewed) -> None:
        self.renewals[lease_id] = renewed

    def time_left(self, lease_id: int, told: Callable[[TimeLeft | RaftKVError], None]) -> None:
        told(self.left)

    def ids(self) -> list[int]:
        return [lease.id for lease in self.book.leases]


class LeaseMember(FakeMember):
    """A FakeMember with leases."""

    leases: FakeDesk
    random: Random


@pytest.fixture
def lessee(member: FakeMember) -> LeaseMember:
    member.__class__ = LeaseMember
    assert isinstance(member, LeaseMember)
    member.leases, member.random = FakeDesk(member.lease_book), Random(1)
    return member


@pytest.fixture
def service(lessee: LeaseMember) -> Service:
    return lease_service(lessee)


def grant(service: Service, ttl_s: int, lease_id: int = 0) -> api.LeaseGrantResponse:
    request = api.LeaseGrantRequest(TTL=ttl_s, ID=lease_id)
    return reply(service, "LeaseGrant", request, api.LeaseGrantResponse)


def test_ids_and_ttls_are_chosen_before_the_log(service: Service, lessee: LeaseMember) -> None:
    """Id 0 becomes a positive one, a short TTL the shortest there is; the log has both."""
    first, second = grant(service, 0), grant(service, 60)
    assert (first.TTL, second.TTL) == (2, 60)
    assert 0 < first.ID != second.ID > 0
    assert lessee.leases.ids() == [first.ID, second.ID]
    assert (grant(service, 7, -5).ID, first.header.revision) == (-5, 1)


def test_refusals(service: Service) -> None:
    """Too long, known already, unknown: etcd's codes and words."""
    long = api.LeaseGrantRequest(TTL=9_000_000_001)
    assert failure(service, "LeaseGrant", long) == Status(11, "etcdserver: too large lease TTL")
    grant(service, 60, 7)
    again = api.LeaseGrantRequest(TTL=60, ID=7)
    assert failure(service, "LeaseGrant", again) == Status(9, "etcdserver: lease already exists")
    unknown = failure(service, "LeaseRevoke", api.LeaseRevokeRequest(ID=8))
    assert unknown == Status(5, "etcdserver: requested lease not found")


def test_revoke_time_to_live_and_list(service: Service, lessee: LeaseMember) -> None:
    """Keys only when asked for; the list has what is granted."""
    grant(service, 60, 7)
    lessee.leases.left = TimeLeft(59, 60)
    put = api.PutRequest(key=b"k", lease=7)
    lessee.propose(1, put.SerializeToString(), lambda outcome: None)
    for keys in (False, True):
        request = api.LeaseTimeToLiveRequest(ID=7, keys=keys)
        left = reply(service, "LeaseTimeToLive", request, api.LeaseTimeToLiveResponse)
        assert (left.ID, left.TTL, left.grantedTTL, list(left.keys)) == (7, 59, 60, [b"k"] * keys)
    listed = reply(service, "LeaseLeases", api.LeaseLeasesRequest(), api.LeaseLeasesResponse)
    assert [each.ID for each in listed.leases] == [7]
    gone = reply(service, "LeaseRevoke", api.LeaseRevokeRequest(ID=7), api.LeaseRevokeResponse)
    assert gone.header.revision == 3
    lessee.leases.left = TimeLeft(-1, 0)
    request = api.LeaseTimeToLiveRequest(ID=7, keys=True)
    left = reply(service, "LeaseTimeToLive", request, api.LeaseTimeToLiveResponse)
    assert (left.TTL, left.grantedTTL, list(left.keys)) == (-1, 0, [])


def keep_alive(lease_id: int) -> bytes:
    return api.LeaseKeepAliveRequest(ID=lease_id).SerializeToString()


def test_keep_alives_are_answered_in_their_order(lessee: LeaseMember) -> None:
    """Renewed the other way round: the stream has them as they were asked, an ended lease with
    TTL 0; a failed renewal ends it, and nothing comes after that."""
    sent: list[bytes] = []
    failed: list[RaftKVError] = []
    stream = KeepAlives(lessee, FakeCall(), sent.append, failed.append)
    for lease_id in (1, 2, 3, 4):
        stream.take_request(keep_alive(lease_id))
    renewals = lessee.leases.renewals
    renewals[2](0)
    assert (sent, stream.unanswered) == ([], 4)
    renewals[1](10)
    answers = [api.LeaseKeepAliveResponse.FromString(each) for each in sent]
    assert [(each.ID, each.TTL, each.header.revision) for each in answers] == [
        (1, 10, 1),
        (2, 0, 1),
    ]
    renewals[3](RequestTimeout("late"))
    renewals[4](10)
    assert len(sent) == 2
    assert [type(each) for each in failed] == [RequestTimeout]
    with pytest.raises(MalformedRequest):
        stream.take_request(b"\xff")
