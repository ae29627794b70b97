"""A member with auth enabled and two users who share nothing, and what a test says to it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import TypeVar

from fake_member import FakeCall, FakeMember, start
from google.protobuf.message import Message

from raftkv.api import auth_pb2
from raftkv.api import rpc_pb2 as api
from raftkv.errors import RaftKVError
from raftkv.mvcc.watch_hub import WatchHub
from raftkv.rpc.auth import auth_service
from raftkv.rpc.cluster import cluster_service
from raftkv.rpc.kv import kv_service
from raftkv.rpc.lease import lease_service
from raftkv.rpc.maintenance import maintenance_service
from raftkv.rpc.watch import watch_service
from raftkv.server.authority import AuthSettings
from raftkv.server.leasing import TimeLeft
from raftkv.wire.service import SendsEach, Service, Status

ROOT, ANN, BOB = "root", "ann", "bob"
"""ann may do everything from a/ to a0, bob from b/ to b0."""
R = TypeVar("R", bound=Message)


class Desk:
    """Leases that are renewed at once."""

    def __init__(self, member: FakeMember) -> None:
        self.book = member.lease_book

    def renew(self, lease_id: int, renewed: Callable[[int | RaftKVError], None]) -> None:
        lease = self.book.get(lease_id)
        renewed(0 if lease is None else lease.ttl_s)

    def time_left(self, lease_id: int, told: Callable[[TimeLeft | RaftKVError], None]) -> None:
        lease = self.book.get(lease_id)
        told(TimeLeft(-1, 0) if lease is None else TimeLeft(lease.ttl_s - 1, lease.ttl_s))

    def ids(self) -> list[int]:
        return sorted(lease.id for lease in self.book.leases)


SECONDS = 10.0


class ScriptedStream(SendsEach):
    """A stream whose client has sent ``requests`` and then waits for ``answers`` answers."""

    def __init__(self, token: str, requests: list[bytes], answers: int) -> None:
        self.metadata = {"token": token} if token else {}
        self.deadline: float | None = None
        self.peer = "127.0.0.1:1"
        self.peer_common_name = ""
        self.backlog = 0
        self.sent: list[bytes] = []
        self._requests = requests
        self._answers = answers
        self.all_sent = asyncio.Event()

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for request in self._requests:
            yield request
        if self._answers:
            await self.all_sent.wait()

    def send(self, message: bytes) -> None:
        self.sent.append(message)
        if len(self.sent) >= self._answers:
            self.all_sent.set()

    async def drain(self) -> None:
        return


class GuardedMember(FakeMember):
    def __init__(self, path: Path, auth: AuthSettings | None = None) -> None:
        super().__init__(path, auth=auth)
        self.leases = Desk(self)
        self.hub = WatchHub(self.store)
        self.services: dict[str, Service] = {
            service.name.removeprefix("etcdserverpb."): service
            for service in (
                kv_service(self),
                lease_service(self),
                maintenance_service(self),
                cluster_service(self),
                auth_service(self),
                watch_service(self),
            )
        }
        self.tokens: dict[str, str] = {"": ""}

    def call(self, method: str, request: Message, token: str = "") -> bytes | Status:
        service, name = method.split("/")
        metadata = {"token": token} if token else {}
        return start(self.services[service], name, request, FakeCall(metadata)).answer

    def ask(self, method: str, request: Message, user: str = "") -> bytes | Status:
        return self.call(method, request, self.tokens[user])

    def ok(self, method: str, request: Message, kind: type[R], user: str = "") -> R:
        answer = self.ask(method, request, user)
        assert isinstance(answer, bytes), (method, answer)
        return kind.FromString(answer)

    def done(self, method: str, request: Message, user: str = "") -> None:
        answer = self.ask(method, request, user)
        assert isinstance(answer, bytes), (method, answer)

    def log_in(self, name: str) -> str:
        request = api.AuthenticateRequest(name=name, password=f"{name}'s")
        self.tokens[name] = self.ok("Auth/Authenticate", request, api.AuthenticateResponse).token
        return self.tokens[name]

    async def stream(
        self, method: str, requests: list[Message], user: str, answers: int
    ) -> list[bytes]:
        """The answers; raises what ends the stream. A client that has heard enough goes away."""
        service, name = method.split("/")
        payloads = [request.SerializeToString() for request in requests]
        stream = ScriptedStream(self.tokens[user], payloads, answers)
        serving = asyncio.ensure_future(self.services[service].streams[name](stream))
        heard = asyncio.ensure_future(stream.all_sent.wait())
        async with asyncio.timeout(SECONDS):
            await asyncio.wait((serving, heard), return_when=asyncio.FIRST_COMPLETED)
        if not serving.done():
            serving.cancel()
            await asyncio.wait((serving,))
        heard.cancel()
        if not serving.cancelled():
            serving.result()
        return stream.sent

    async def wait(
        self, service: Service, name: str, request: Message, user: str
    ) -> bytes | Status:
        """The answer of a method that may take turns of the loop."""
        metadata = {"token": self.tokens[user]} if user else {}
        call = start(service, name, request, FakeCall(metadata))
        async with asyncio.timeout(SECONDS):
            while not call.answers:  # noqa: ASYNC110 - what others do in this loop is awaited
                await asyncio.sleep(0)
        return call.answer


def found(path: Path, auth: AuthSettings | None = None) -> GuardedMember:
    """Users, roles and a key of each user; logged in all of them."""
    member = GuardedMember(path, auth)
    for name, letter in ((ANN, b"a"), (BOB, b"b")):
        member.done("Auth/UserAdd", api.AuthUserAddRequest(name=name, password=f"{name}'s"))
        member.done("Auth/RoleAdd", api.AuthRoleAddRequest(name=f"{name}'s role"))
        perm = auth_pb2.Permission(
            permType=auth_pb2.Permission.READWRITE, key=letter + b"/", range_end=letter + b"0"
        )
        grant = api.AuthRoleGrantPermissionRequest(name=f"{name}'s role", perm=perm)
        member.done("Auth/RoleGrantPermission", grant)
        member.done(
            "Auth/UserGrantRole", api.AuthUserGrantRoleRequest(user=name, role=f"{name}'s role")
        )
        member.done("KV/Put", api.PutRequest(key=letter + b"/1", value=b"secret"))
    member.done("Auth/UserAdd", api.AuthUserAddRequest(name=ROOT, password="root's"))
    member.done("Auth/UserGrantRole", api.AuthUserGrantRoleRequest(user=ROOT, role=ROOT))
    member.done("Auth/AuthEnable", api.AuthEnableRequest())
    for name in (ROOT, ANN, BOB):
        member.log_in(name)
    return member
