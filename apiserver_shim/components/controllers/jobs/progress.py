"""How far a Job has come, and what that asks for: pure functions.

Owns: counting each finished pod once, when a Job is over, how many pods it needs. Must never do:
know the API. A finished pod holds a finalizer until it is counted: first its uid is written down as
not yet counted, then the finalizer is taken away, then the number grows. Whatever fails in between,
it is counted once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from apiserver_shim.components.api_client import Object
from apiserver_shim.components.ownership import is_being_deleted
from apiserver_shim.components.pod_states import is_terminal, phase_of

TRACKING = "batch.kubernetes.io/job-tracking"
BACKOFF_LIMIT = 6
BACKOFF_S_MIN, BACKOFF_S_MAX = 10.0, 600.0


@dataclass(slots=True)
class Tally:
    """Counted pods, and uids that are written down but not yet counted."""

    succeeded: int = 0
    failed: int = 0
    pending_succeeded: list[str] = field(default_factory=list)
    pending_failed: list[str] = field(default_factory=list)

    @property
    def all_succeeded(self) -> int:
        return self.succeeded + len(self.pending_succeeded)

    @property
    def all_failed(self) -> int:
        return self.failed + len(self.pending_failed)


def has_tracking(pod: Object) -> bool:
    return TRACKING in (pod["metadata"].get("finalizers") or ())


def tally(status: Object, pods: Sequence[Object]) -> Tally:
    """What the status says, brought up to date with the pods."""
    pending = status.get("uncountedTerminatedPods") or {}
    held = {pod["metadata"]["uid"] for pod in pods if has_tracking(pod)}
    found = Tally(int(status.get("succeeded", 0)), int(status.get("failed", 0)))
    for uid in pending.get("succeeded") or ():
        if uid in held:
            found.pending_succeeded.append(uid)
        else:
            found.succeeded += 1
    for uid in pending.get("failed") or ():
        if uid in held:
            found.pending_failed.append(uid)
        else:
            found.failed += 1
    known = {*found.pending_succeeded, *found.pending_failed}
    for pod in pods:
        uid = pod["metadata"]["uid"]
        if uid in known or not has_tracking(pod):
            continue
        if phase_of(pod) == "Succeeded":
            found.pending_succeeded.append(uid)
        elif is_terminal(pod) or is_being_deleted(pod):
            found.pending_failed.append(uid)
    return found


@dataclass(frozen=True, slots=True)
class Verdict:
    """``kind``: Complete, Failed, or empty while it goes on."""

    kind: str = ""
    reason: str = ""
    message: str = ""


def verdict(job: Object, counted: Tally, running_s: float) -> Verdict:
    spec = job["spec"]
    if counted.all_failed > int(spec.get("backoffLimit", BACKOFF_LIMIT)):
        text = "Job has reached the specified backoff limit"
        return Verdict("Failed", "BackoffLimitExceeded", text)
    deadline = spec.get("activeDeadlineSeconds")
    if deadline is not None and running_s >= deadline and not spec.get("suspend"):
        text = "Job was active longer than specified deadline"
        return Verdict("Failed", "DeadlineExceeded", text)
    if is_enough(spec, counted, active=0):
        text = "Reached expected number of succeeded pods"
        return Verdict("Complete", "CompletionsReached", text)
    return Verdict()


def is_enough(spec: Object, counted: Tally, active: int) -> bool:
    """Without completions the first success ends it, once the others have ended too."""
    completions = spec.get("completions")
    if completions is None:
        return counted.all_succeeded > 0 and active == 0
    return counted.all_succeeded >= int(completions)


def wanted_active(spec: Object, counted: Tally, active: int) -> int:
    """How many pods should run now."""
    if spec.get("suspend"):
        return 0
    parallelism, completions = int(spec.get("parallelism", 1)), spec.get("completions")
    if completions is None:
        return min(active, parallelism) if counted.all_succeeded else parallelism
    return max(min(int(completions) - counted.all_succeeded, parallelism), 0)


def backoff_s(failures: int) -> float:
    """Before the next pod, after so many failures."""
    return min(BACKOFF_S_MIN * 2 ** min(failures - 1, 20), BACKOFF_S_MAX) if failures > 0 else 0.0


def missing_indexes(spec: Object, done: set[int], active: set[int], count: int) -> list[int]:
    """Of an Indexed Job: the lowest that neither run nor are done."""
    every = range(int(spec.get("completions") or 0))
    return [i for i in every if i not in done and i not in active][:count]


def index_ranges(indexes: set[int]) -> str:
    """As completedIndexes has it: 0-2,5."""
    told: list[str] = []
    ordered = sorted(indexes)
    start = 0
    for at, index in enumerate(ordered):
        if at + 1 < len(ordered) and ordered[at + 1] == index + 1:
            continue
        told.append(str(index) if at == start else f"{ordered[start]}-{index}")
        start = at + 1
    return ",".join(told)


def read_ranges(text: str) -> set[int]:
    found: set[int] = set()
    for part in filter(None, text.split(",")):
        low, _, high = part.partition("-")
        found.update(range(int(low), int(high or low) + 1))
    return found
