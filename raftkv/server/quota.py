"""The leader's part in the quota: that the cluster counts, and which quota it holds the count to.

Owns: the order of the entries (``raftkv.apply.space``) and the measurement between them. Must never
do: refuse anything, or ask for an entry below level 0.2, which older members could not apply.

    SPACE_BEGIN: count from here on -> measure what is there, in steps -> SPACE_BASE: add that

A compaction meanwhile takes away what was measured: then all of it begins anew. The quota is that
of the leader's flag: with another leader it may be another, and a warning says so.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

from raftkv.apply.applier import Applier
from raftkv.apply.batch import RequestKind
from raftkv.apply.level import LEVEL_0_2
from raftkv.apply.space import encode_base, encode_quota
from raftkv.errors import RaftKVError
from raftkv.log_fields import fields
from raftkv.mvcc.measurement import Measurement
from raftkv.mvcc.store import Store

log = logging.getLogger("raftkv.server")

Propose = Callable[[int, bytes, Callable[[bytes | RaftKVError], None]], None]


class QuotaKeeper:
    """``office`` is the term that this member leads with all earlier entries applied, 0 for none;
    ``quota`` is what its flag says, 0 for none. Also what ``Background`` steps."""

    def __init__(
        self,
        *,
        store: Store,
        applier: Applier,
        quota: int,
        office: Callable[[], int],
        propose: Propose,
        schedule: Callable[[], None],
    ) -> None:
        self._store = store
        self._level = applier.level
        self._quota = quota
        self._office = office
        self._propose = propose
        self._schedule = schedule
        self._asking = False
        self._measurement: Measurement | None = None
        self._seen = (0, 0)

    def look(self) -> None:
        """Do what is due. Called a few times a second, while nothing is being committed."""
        term, store, ledger = self._office(), self._store, self._store.ledger
        if not term or self._asking or self._level.current < LEVEL_0_2:
            return
        if not ledger.is_on or not (ledger.is_complete or self._may_be_measured):
            self._measurement = None
            self._ask(RequestKind.SPACE_BEGIN, encode_quota(term, self._quota))
        elif not ledger.is_complete:
            if self._measurement is None and not store.compacting:
                self._seen = self._state
                self._measurement = store.begin_measurement(ledger.began)
                self._schedule()
        elif ledger.quota != self._quota:
            told = fields(quota_bytes=self._quota, quota_bytes_before=ledger.quota)
            log.warning(
                "the quota is the leader's: give all members one --quota-backend-bytes", extra=told
            )
            self._ask(RequestKind.SPACE_QUOTA, encode_quota(term, self._quota))

    # --- what Background steps ----------------------------------------------------------------

    @property
    def is_waiting(self) -> bool:
        return self._measurement is not None

    def step(self, records_max: int) -> None:
        """Measure on; with the last step, ask that it be added."""
        measured, term = self._measurement, self._office()
        if measured is None:
            return
        if not term or self._seen != self._state or self._level.current < LEVEL_0_2:
            self._measurement = None
        elif measured.step(records_max):
            self._measurement = None
            live, superseded = measured.live, measured.superseded
            base = encode_base(term, measured.revision, measured.compacted, live, superseded)
            self._ask(RequestKind.SPACE_BASE, base)

    @property
    def _state(self) -> tuple[int, int]:
        return self._store.generation, self._store.compact_revision

    @property
    def _may_be_measured(self) -> bool:
        return self._store.compact_revision == self._store.ledger.compacted

    def _ask(self, kind: RequestKind, payload: bytes) -> None:
        self._asking = True

        def asked(outcome: bytes | RaftKVError) -> None:
            self._asking = False
            if isinstance(outcome, RaftKVError):
                told = fields(request=kind.name, error=str(outcome))
                log.info("the count of what is live is not complete yet", extra=told)

        self._propose(kind, payload, asked)
