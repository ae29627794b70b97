"""Keys put into a store before something is measured: quickly, and only once per cluster.

Owns: filling a prefix, and checking that it is full. Must never do: measure.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from benchmarks.measurement import NotProven
from benchmarks.scripts import numbered
from raftkv.api import rpc_pb2 as pb
from tests.e2e.api import Api

PUTS_PER_TXN = 100
WRITERS = 4


@dataclass(frozen=True, slots=True)
class Rows:
    """``count`` keys under ``prefix``, which ends in a slash, with values of one size."""

    prefix: bytes
    count: int
    value_bytes: int

    @property
    def end(self) -> bytes:
        """The end of the prefix's range: the next byte after the slash."""
        return self.prefix[:-1] + b"0"

    def request(
        self, *, keys_only: bool = False, count_only: bool = False, revision: int = 0
    ) -> pb.RangeRequest:
        """A list of the whole prefix; revision 0 is the newest."""
        return pb.RangeRequest(
            key=self.prefix,
            range_end=self.end,
            keys_only=keys_only,
            count_only=count_only,
            revision=revision,
        )

    def exist(self, api: Api) -> bool:
        return bool(api.range(self.prefix, self.end, count_only=True).count == self.count)

    def put(self, api: Api, letter: bytes = b"v") -> None:
        """Put every key, over what is there; afterwards the store must have all of them."""
        with ThreadPoolExecutor(WRITERS) as pool:
            for _ in pool.map(lambda puts: api.txn(success=puts), self._transactions(letter)):
                """Each answer is waited for, and an error in one is raised here."""
        if not self.exist(api):
            raise NotProven(f"{self.count} keys were put under {self.prefix!r} and are not there")

    def check(self, answer: bytes, *, letter: bytes = b"v", keys_only: bool = False) -> None:
        """The encoded answer to a request of the whole prefix has every row and every value."""
        value = b"" if keys_only else letter * self.value_bytes
        rows = pb.RangeResponse.FromString(answer).kvs
        if len(rows) != self.count or any(row.value != value for row in rows):
            raise NotProven(f"the list has {len(rows)} rows of {self.count}, or wrong values")

    def _transactions(self, letter: bytes) -> Iterator[list[pb.RequestOp]]:
        value = letter * self.value_bytes
        for start in range(0, self.count, PUTS_PER_TXN):
            keys = (numbered(self.prefix, number) for number in range(start, self._end(start)))
            yield [pb.RequestOp(request_put=pb.PutRequest(key=key, value=value)) for key in keys]

    def _end(self, start: int) -> int:
        return min(start + PUTS_PER_TXN, self.count)
