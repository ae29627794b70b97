"""A process's own time: it drifts, jumps ahead, stands still while the process is paused, and ends.

Owns: ProcessClock, through which everything enters a simulated process: timers, messages, what its
workers have done. Must never do: run anything of a process that is paused or dead.
The clock is the monotonic one, so it never goes back: production code reads no other.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from raftkv.scheduler import Timer
from raftkv.simulation.scheduler import VirtualScheduler

Callback = Callable[[], None]


class _Call:
    """One callback on its way in, until it is cancelled."""

    __slots__ = ("callback", "cancelled")

    def __init__(self, callback: Callback) -> None:
        self.callback = callback
        self.cancelled = False

    def cancel(self) -> None:
        self.cancelled = True


class ProcessClock:
    """A ``Scheduler``. ``entered`` is told of each callback after it ran."""

    def __init__(
        self, world: VirtualScheduler, entered: Callable[[Callback], None], *, rate: float = 1.0
    ) -> None:
        self._world = world
        self._entered = entered
        self._rate = rate
        self._local_base = world.now()
        self._world_base = world.now()
        self._held: list[_Call] = []
        self.paused = False
        self.ended = False

    # --- Scheduler ----------------------------------------------------------------------------

    def now(self) -> float:
        return self._local_base + (self._world.now() - self._world_base) * self._rate

    def call_soon(self, callback: Callback, /) -> None:
        self.call_later(0.0, callback)

    def call_later(self, delay_s: float, callback: Callback, /) -> Timer:
        call = _Call(callback)
        self._world.call_later(delay_s / self._rate, partial(self._run, call))
        return call

    def enter(self, callback: Callback) -> None:
        """Something from outside arrives now."""
        self._run(_Call(callback))

    # --- what may happen to it ----------------------------------------------------------------

    def drift(self, rate: float) -> None:
        """From now on run ``rate`` times as fast as the world. Timers that are set already keep."""
        self._local_base, self._world_base = self.now(), self._world.now()
        self._rate = rate

    def jump(self, seconds: float) -> None:
        """Time has passed that no timer saw, as when a virtual machine was moved."""
        assert seconds >= 0, f"a monotonic clock cannot go back by {-seconds} s"
        self._local_base += seconds

    def pause(self) -> None:
        self.paused = True

    def resume(self) -> None:
        """What came meanwhile happens now, in its order."""
        self.paused = False
        held, self._held = self._held, []
        for call in held:
            self._world.call_soon(partial(self._run, call))

    def end(self) -> None:
        """The process is gone."""
        self.ended = True
        self._held.clear()

    def _run(self, call: _Call) -> None:
        if self.ended or call.cancelled:
            return
        if self.paused:
            self._held.append(call)
            return
        call.callback()
        self._entered(call.callback)
