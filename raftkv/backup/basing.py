"""New bases of a chain, now and then.

Owns: when one is due, saving it beside the log, and what may go once it is there. Must never do:
end the following because a base cannot be made: that is told, and tried again.
"""

from __future__ import annotations

import asyncio
import logging

from raftkv.backup.directory import BackupDirectory, Facts
from raftkv.backup.image import ImageStatus, check_digest, look_into
from raftkv.backup.writing import LogWriter, NowMs
from raftkv.client import Client
from raftkv.client.snapshot import SaveOptions
from raftkv.errors import RaftKVError
from raftkv.log_fields import fields

log = logging.getLogger("raftkv.backup")

RETRY_S = 15.0
"""After a base that could not be made."""


class TooEarly(RaftKVError):
    """The member was behind: its image ends before the log begins."""


class BaseMaker:
    def __init__(
        self,
        client: Client,
        directory: BackupDirectory,
        keep: int,
        rate_bytes_s: float,
        now_ms: NowMs,
    ) -> None:
        self._client = client
        self._directory = directory
        self._keep = keep
        self._rate_bytes_s = rate_bytes_s
        self._now_ms = now_ms
        self._retry_at_ms = 0

    def due_in_s(self, chain: int, interval_s: float) -> float:
        """At once for a chain that has none."""
        now = self._now_ms()
        bases = [base for each in self._directory.chains() for base in each.bases]
        last = next((base for base in reversed(bases) if base.chain == chain), None)
        due = last.facts.time_ms + int(interval_s * 1000) if last is not None else now
        return max(due - now, self._retry_at_ms - now, 0) / 1000

    async def make(self, writer: LogWriter) -> None:
        """A base of the writer's chain, checked. A failure is told, and waited after."""
        began_ms = self._now_ms()
        try:
            facts = await self._save(writer)
        except (RaftKVError, TimeoutError) as e:
            self._retry_at_ms = self._now_ms() + int(RETRY_S * 1000)
            log.error(
                "no base could be made; trying again",
                extra=fields(error=str(e), chain=writer.chain, retry_s=RETRY_S),
            )
            return
        self._retry_at_ms = 0
        gone = await asyncio.to_thread(self._directory.prune, self._keep)
        log.info(
            "a base is there",
            extra=fields(
                revision=facts.revision,
                keys=facts.keys,
                chain=writer.chain,
                took_ms=self._now_ms() - began_ms,
                removed=len(gone),
            ),
        )

    async def _save(self, writer: LogWriter) -> Facts:
        found: list[ImageStatus] = []

        def check(path: str) -> None:
            check_digest(path)
            status = look_into(path)
            if status.revision < writer.first_revision - 1:
                raise TooEarly(
                    f"the member's image ends at revision {status.revision}, and the log begins "
                    f"at {writer.first_revision}"
                )
            found.append(status)

        path = self._directory.incoming_path()
        options = SaveOptions(check=check, rate_bytes_s=self._rate_bytes_s)
        await self._client.maintenance.snapshot(path, options)
        status = found[0]
        facts = Facts(
            cluster_id=writer.cluster_id,
            time_ms=self._now_ms(),
            revision=status.revision,
            keys=status.total_keys,
            hash=status.hash,
            compact_revision=status.compact_revision,
        )
        await asyncio.to_thread(self._directory.adopt_base, path, writer.chain, facts)
        return facts
