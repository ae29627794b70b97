"""Walking all rows, a few at a time, so that damage is found where nobody reads.

Owns: the position of the walk, its pace, and bringing rows to the form that the cluster's level
allows (``backend.checked``). Must never do: run while the backend commits, or judge a row: the
backend raises Damaged and tells.

A pass over a small database takes a moment, and the next one comes after ``rest_s``. Of a large one
a pass takes hours: ROWS_PER_S bounds what it costs, some percent of a core.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

from raftkv.apply.level import LEVEL_0_2, ClusterLevel
from raftkv.backend.checked import CheckedBackend
from raftkv.backend.schema import DATA_TABLES, Table
from raftkv.errors import Damaged
from raftkv.scheduler import Scheduler

STEP_S = 0.02
ROWS_PER_STEP = 200
ROWS_PER_STEP_CONVERTING = 1_000
"""While rows are brought to another form: a downgrade may wait for it."""
ROWS_PER_STEP_URGENT = 10_000
"""While a repaired member waits for its first whole pass: it serves nobody meanwhile."""

log = logging.getLogger("raftkv.server")


class Scrub:
    """``may_run`` says whether the database can be read now. With ``rest_s`` of 0 rows are only
    brought to their form, and looked at when a repair asks for it."""

    def __init__(
        self,
        *,
        backend: CheckedBackend,
        level: ClusterLevel,
        scheduler: Scheduler,
        rest_s: float,
        may_run: Callable[[], bool],
        is_stopped: Callable[[], bool],
        converted: Callable[[], None],
    ) -> None:
        self._backend = backend
        self._level = level
        self._scheduler = scheduler
        self._rest_s = rest_s
        self._may_run = may_run
        self._is_stopped = is_stopped
        self._converted = converted
        self._tables = list(DATA_TABLES)
        self._next = b""
        self._resting_until = 0.0
        self._is_converting = False
        self._urgent: Callable[[], None] | None = None
        self.passes = 0
        """Whole walks that found nothing."""
        self.rows = 0
        """Rows that were looked at in all."""

    @property
    def every_row_has_check(self) -> bool:
        """Not in a cluster of the version before, and not until its rows were brought over."""
        return self._backend.writes_checks and self._backend.is_complete

    def start(self) -> None:
        self._step()

    def now(self, done: Callable[[], None] | None) -> None:
        """Begin anew at once, and call ``done`` after a whole pass that found nothing. None: as
        ever."""
        self._begin()
        self._urgent = done
        self._resting_until = 0.0

    def _step(self) -> None:
        if self._is_stopped():
            return
        self._scheduler.call_later(STEP_S, self._step)
        if not self._may_run():
            return
        try:
            self._convert_or_look()
        except Damaged:
            self._urgent = None  # the backend has told who has to know
            self._begin()
            self._resting_until = self._scheduler.now() + STEP_S

    def _convert_or_look(self) -> None:
        backend = self._backend
        wanted = self._level.current >= LEVEL_0_2
        if wanted != backend.writes_checks:
            backend.write_checks(wanted)
            self._begin()
            if not backend.has_to_convert:
                self._converted()  # there are no rows
        if backend.has_to_convert and not self._is_converting:
            self._begin()
            self._is_converting = True
        left = ROWS_PER_STEP
        if self._urgent is not None:
            left = ROWS_PER_STEP_URGENT
        elif self._is_converting:
            left = ROWS_PER_STEP_CONVERTING
        elif not self._rest_s or self._scheduler.now() < self._resting_until:
            return
        while left > 0 and self._tables:
            left -= self._look(self._tables[0], left)
        if not self._tables:
            self._passed()

    def _look(self, table: Table, rows_max: int) -> int:
        """Rows of one table; how many they were, and one for the table itself."""
        following, seen = self._backend.examine(table, self._next, rows_max)
        self.rows += seen
        if following is None:
            self._tables.pop(0)
        self._next = following or b""
        return seen + 1

    def _begin(self) -> None:
        self._tables, self._next = list(DATA_TABLES), b""
        self._is_converting = False

    def _passed(self) -> None:
        if self._is_converting:
            self._backend.converted()
            self._converted()
        self.passes += 1
        self._begin()
        self._resting_until = self._scheduler.now() + self._rest_s
        done, self._urgent = self._urgent, None
        if done is not None:
            done()
