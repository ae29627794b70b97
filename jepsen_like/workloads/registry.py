"""The workloads by name, for --workload and ``list``.

Owns: that table. ``general`` are the checks that judge any history (linearizability, watches,
hashes); each workload adds the checks that only it feeds.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from jepsen_like.workloads.append import append
from jepsen_like.workloads.checks import Check
from jepsen_like.workloads.mix import mix
from jepsen_like.workloads.register import register
from jepsen_like.workloads.session import Workload
from jepsen_like.workloads.set import elements
from jepsen_like.workloads.txn import txn
from jepsen_like.workloads.watch import watch

WORKLOADS: dict[str, Callable[[Sequence[Check]], Workload]] = {
    "register": register,
    "set": elements,
    "append": append,
    "txn": txn,
    "mix": mix,
    "watch": watch,
}


def workload(name: str, general: Sequence[Check]) -> Workload:
    """ValueError names what there is."""
    if name not in WORKLOADS:
        raise ValueError(f"no workload {name!r}; there are {', '.join(WORKLOADS)}")
    return WORKLOADS[name](general)
