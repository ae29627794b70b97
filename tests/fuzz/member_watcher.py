"""What a member's process uses and says, from outside: memory, files, health, log.

Owns: the looks at /proc and at the log. Must never do: speak to the ports that are fuzzed, but for
/health and one put.
"""

from __future__ import annotations

from pathlib import Path

from tests.e2e.cluster import Cluster
from tests.e2e.waiting import wait_until

# What a fuzzed member may grow by: its caches, its store and its log fill up to their limits.
GROWTH_BYTES_MAX = 160 << 20


class MemberWatcher:
    """Compares a member with what it was when this was made."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._member = cluster.members[0]
        self._written = 0
        self.check_service()
        self._files = self._open_files()
        self._bytes = self._resident_bytes()

    def check_service(self) -> None:
        """It is healthy, and takes a put and reads it back."""
        self._member.wait_healthy()
        self._written += 1
        value = b"%d" % self._written
        api = self._cluster.api(self._member)
        api.put(b"watcher", value)
        kept = api.range(b"watcher").kvs[0].value
        assert kept == value, f"{kept!r} was read, {value!r} put"

    def check_growth(self) -> None:
        grown = self._resident_bytes() - self._bytes
        assert grown <= GROWTH_BYTES_MAX, f"grown by {grown} bytes, {GROWTH_BYTES_MAX} allowed"

    def check_end(self) -> None:
        """All connections are gone, and the log tells of nothing unforeseen."""
        self.check_service()
        self.check_growth()
        wait_until(lambda: self._open_files() <= self._files, "the files of connections are closed")
        broken = self._cluster.broken_log_lines()
        assert not broken, f"{broken}: see {self._member.log_path}"

    def _open_files(self) -> int:
        return len(list(Path(f"/proc/{self._member.pid}/fd").iterdir()))

    def _resident_bytes(self) -> int:
        lines = Path(f"/proc/{self._member.pid}/status").read_text().splitlines()
        resident = next(line for line in lines if line.startswith("VmRSS:"))
        return int(resident.split()[1]) * 1024
