"""A thread of a simulated process: jobs take virtual time, and a crash may come in their midst.
Brief ones may be done at once, as by the real worker.

Owns: VirtualWorker. Must never do: report anything of a process that is gone.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from raftkv.simulation.clock import ProcessClock

Job = Callable[[], None]
Done = Callable[[BaseException | None], None]


BRIEF_S_MAX = 0.0004
"""A brief job that would take longer is the thread's."""


class VirtualWorker:
    """``Worker``: a job's effects and its report come ``latency_s()`` after it could begin."""

    def __init__(self, clock: ProcessClock, latency_s: Callable[[], float]) -> None:
        self._clock = clock
        self._latency_s = latency_s
        self._free_at = 0.0
        self._jobs: deque[tuple[Job, Done]] = deque()

    def run(self, job: Job, done: Done) -> None:
        self._hand_over(job, done, self._latency_s())

    def run_brief(self, job: Job, done: Done) -> None:
        latency_s = self._latency_s()
        if self._jobs or latency_s > BRIEF_S_MAX:
            self._hand_over(job, done, latency_s)
        else:
            done(_outcome(job))

    def _hand_over(self, job: Job, done: Done, latency_s: float) -> None:
        now = self._clock.now()
        self._free_at = max(self._free_at, now) + latency_s
        self._jobs.append((job, done))
        self._clock.call_later(self._free_at - now, self._finish)

    @property
    def unfinished(self) -> Job | None:
        """The job that a crash now would come into the midst of."""
        return self._jobs[0][0] if self._jobs else None

    def _finish(self) -> None:
        """The one that began first. On a clock that drifts, two ends can change places by the last
        bit of their times."""
        job, done = self._jobs.popleft()
        done(_outcome(job))


def _outcome(job: Job) -> BaseException | None:
    try:
        job()
    except Exception as e:  # noqa: BLE001 - a worker hands over what its job raised
        return e
    return None
