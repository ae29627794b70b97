"""What there is by name: workloads, and the checks that judge every history.

Owns: those lookups. Must never do: go on without what was asked for; a name that is not there is a
ValueError, and so is a workload that the program under test cannot serve.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable

import jepsen_like.checkers
from jepsen_like.checkers import hashes, linearizable, recovery, watch
from jepsen_like.checkers.verdict import Verdict
from jepsen_like.cluster.program import Program
from jepsen_like.history.history import History
from jepsen_like.nemesis.nemesis import Nemesis
from jepsen_like.nemesis.registry import OWN_DISK
from jepsen_like.workloads.registry import WORKLOADS, workload
from jepsen_like.workloads.session import Workload

GENERAL: tuple[Callable[[History], Verdict], ...] = (
    recovery.check,
    linearizable.check,
    watch.check,
    hashes.check,
)
"""The checks of every workload on real processes, before its own. A witness watches every run."""


def workload_names() -> list[str]:
    return list(WORKLOADS)


def workload_named(name: str) -> Workload:
    """ValueError names what there is."""
    return workload(name, GENERAL)


def require_features(chosen: Workload | Nemesis, program: Program, *, is_root: bool) -> None:
    """ValueError where the program, or the user of this machine, cannot do what is needed."""
    missing = chosen.needs - program.features - {OWN_DISK}
    if missing:
        raise ValueError(
            f"{chosen.name} needs {', '.join(sorted(missing))}, which {program.name} does not have"
        )
    if OWN_DISK in chosen.needs and not is_root:
        raise ValueError(f"{chosen.name} needs {OWN_DISK}")


def checkers() -> dict[str, str]:
    """The modules of the checkers that have a ``check``, and the first line of their words."""
    package = jepsen_like.checkers
    found = {
        module.name: importlib.import_module(f"{package.__name__}.{module.name}")
        for module in pkgutil.iter_modules(package.__path__)
    }
    return {
        name: (module.__doc__ or "").strip().splitlines()[0]
        for name, module in found.items()
        if hasattr(module, "check")
    }
