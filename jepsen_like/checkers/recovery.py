"""Whether the cluster came through: no process died of itself, and all agreed after healing.

Owns: the names under which the real-process tier records what nobody injected, and what follows.
Must never do: count a run as survived that never came to the members' final states.
"""

from __future__ import annotations

from jepsen_like.checkers.verdict import Finding, Verdict, judge
from jepsen_like.history.history import History

DIED = "died"
"""A process ended that nobody had asked to."""
STUCK = "stuck"
"""Everything was healed, and the cluster did not recover in time."""
REFUSED = "refused"
"""A damaged member ended, or did not start: it may, and stays down."""
GAVE_UP = "gave up"
"""A member without disk space ended: it may, and is started again when there is some."""
BROKEN_LOG = "broken log"
"""A member's log says that it met something its authors had not thought of."""

_REASONS = {
    DIED: "a member died on its own",
    STUCK: "the cluster did not recover after everything was healed",
    BROKEN_LOG: "a member logged an error of its own code",
}


def check(history: History) -> Verdict:
    """UNKNOWN when the run ended before the members' states were read."""
    findings = [
        Finding(f"{_REASONS[fault.name]}, at {fault.ended_s:.1f} s: {fault.what}")
        for fault in history.faults
        if fault.name in _REASONS
    ]
    return judge("recovery", len(history.finals), "final states of members", findings)
