"""The workloads by name, for --workload and ``list``.

Owns: that table. ``general`` are the checks that judge any history (linearizability, watches,
hashes); each workload adds those that are its own.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from jepsen_like.workloads.append import append
from jepsen_like.workloads.checks import Assembled, Check
from jepsen_like.workloads.election import election
from jepsen_like.workloads.kubernetes import kubernetes
from jepsen_like.workloads.lease import lease
from jepsen_like.workloads.lock import lock, unfenced_lock
from jepsen_like.workloads.mix import mix, mix_plain
from jepsen_like.workloads.register import register
from jepsen_like.workloads.set import elements
from jepsen_like.workloads.txn import txn
from jepsen_like.workloads.watch import watch

WORKLOADS: dict[str, Callable[[Sequence[Check]], Assembled]] = {
    "register": register,
    "set": elements,
    "append": append,
    "txn": txn,
    "mix": mix,
    "mix-plain": mix_plain,
    "watch": watch,
    "kubernetes": kubernetes,
    "lease": lease,
    "lock": lock,
    "lock-unfenced": unfenced_lock,
    "election": election,
}


def workload(name: str, general: Sequence[Check]) -> Assembled:
    """ValueError names what there is."""
    if name not in WORKLOADS:
        raise ValueError(f"no workload {name!r}; there are {', '.join(WORKLOADS)}")
    return WORKLOADS[name](general)
