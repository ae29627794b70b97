"""A cluster of member processes on loopback, of any program that takes etcd's flags.

Owns: Cluster: start, find the leader, kill and restart, the checks that end every run.
Must never do: look into a member's files, or know which program it is beyond Program.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import grpc

from tests.e2e.api import Api
from tests.e2e.etcdctl import Etcdctl
from tests.e2e.member_process import Addresses, MemberProcess, reserve_ports
from tests.e2e.program import Program
from tests.e2e.waiting import wait_until

# Signs in a log that a member met something its authors had not thought of.
BROKEN_LOG_SIGNS = ("Traceback (most recent call last)", "panic:", "was never awaited")


class Cluster:
    """``members`` processes that form one cluster; a context manager that ends them all.
    ``{name}`` in a flag is the member's name."""

    def __init__(
        self,
        program: Program,
        directory: Path,
        *,
        members: int = 3,
        flags: Sequence[str] = (),
        peer_scheme: str = "http",
    ) -> None:
        self.program = program
        self.directory = directory
        self._flags = flags
        ports = reserve_ports(2 * members)
        places = [
            Addresses(
                f"m{number}",
                ports[2 * number],
                ports[2 * number + 1],
                peer_scheme=peer_scheme,
            )
            for number in range(members)
        ]
        initial = ",".join(f"{place.name}={place.peer_url}" for place in places)
        self.members = [
            MemberProcess(program, place, directory, initial, self._flags_of(place))
            for place in places
        ]
        self._apis: dict[str, Api] = {}

    def _flags_of(self, place: Addresses) -> list[str]:
        return [flag.replace("{name}", place.name) for flag in self._flags]

    def __enter__(self) -> Cluster:
        try:
            self.start()
        except BaseException:
            self.kill()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        for api in self._apis.values():
            api.close()
        self.kill()

    def start(self) -> None:
        """Start the members that do not run, and wait until all serve."""
        for member in self.members:
            if not member.is_running:
                member.start()
        for member in self.members:
            member.wait_healthy()

    def newcomer(self) -> Addresses:
        """Where one more member will listen."""
        client_port, peer_port = reserve_ports(2)
        return Addresses(f"m{len(self.members)}", client_port, peer_port)

    def join(
        self, place: Addresses, initial: str, *, state: str = "existing", directory: str = "."
    ) -> MemberProcess:
        """Start a member with an empty data directory; ``initial`` is its --initial-cluster."""
        home = self.directory / directory
        home.mkdir(exist_ok=True)
        member = MemberProcess(
            self.program, place, home, initial, self._flags_of(place), state=state
        )
        self.members = [each for each in self.members if each.name != place.name] + [member]
        member.start()
        return member

    def kill(self) -> None:
        """kill -9 every member that runs."""
        for member in self.members:
            if member.is_running:
                member.kill()

    @property
    def endpoints(self) -> list[str]:
        return [member.endpoint for member in self.members]

    @property
    def running(self) -> list[MemberProcess]:
        return [member for member in self.members if member.is_running]

    def api(self, member: MemberProcess) -> Api:
        """A channel to the member, kept for the cluster's life: it reconnects after restarts."""
        if member.name not in self._apis:
            self._apis[member.name] = Api(member.endpoint)
        return self._apis[member.name]

    def ctl(self, *members: MemberProcess) -> Etcdctl:
        """etcdctl for the given members, or for all."""
        return Etcdctl(*[member.endpoint for member in members or self.members])

    def leader(self, *, seconds: float = 30) -> MemberProcess:
        """The running member that says of itself that it leads, once one does."""
        return wait_until(self._leader_now, "a member leads", seconds=seconds)

    def followers(self) -> list[MemberProcess]:
        leader = self.leader()
        return [member for member in self.running if member is not leader]

    def follower(self) -> MemberProcess:
        return self.followers()[0]

    def wait_checked(self, *, seconds: float = 60) -> None:
        """raftkv: until damage to any row of any running member is found. A new cluster begins with
        what the version before knows, which is rows without checks."""
        name = "raftkv_server_every_row_has_check"
        wait_until(
            lambda: all(member.metric(name) for member in self.running),
            "every row has its check",
            seconds=seconds,
        )

    def wait_alike(self, *, seconds: float = 60) -> int:
        """Until all running members have the same revision and hash; gives the revision."""
        return wait_until(self._common_revision, "all members are alike", seconds=seconds)

    def broken_log_lines(self) -> list[str]:
        return [
            f"{member.log_path.name}: {line}"
            for member in self.members
            for line in member.log_text().splitlines()
            if any(sign in line for sign in BROKEN_LOG_SIGNS)
        ]

    def _leader_now(self) -> MemberProcess | None:
        for member in self.running:
            try:
                status = self.api(member).status()
            except grpc.RpcError:
                continue
            if status.leader and status.leader == status.header.member_id:
                return member
        return None

    def _common_revision(self) -> int:
        try:
            hashes = [self.api(member).hash_kv() for member in self.running]
        except grpc.RpcError:
            return 0
        seen = {(answer.header.revision, answer.hash) for answer in hashes}
        return int(seen.pop()[0]) if len(seen) == 1 else 0
