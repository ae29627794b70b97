"""What the recorded process is told to do: requests, and things that happen to members.

Owns: Event, Submit and the drawing of a script from a seed. Must never do: carry anything out;
``performer`` does. The mix has all that writes files: log records, cuts of the log, new segments,
commits and growth of the database, compaction, snapshot files, starts and both kinds of ends.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from random import Random

from jepsen_like.history.request import (
    Compact,
    Compare,
    Delete,
    KeyOp,
    Put,
    Relation,
    Request,
    Target,
    Txn,
)
from jepsen_like.images.keyspace import KeySpace

KEYS = tuple(f"k{i:02}" for i in range(12))
REQUESTS_PER_SUBMIT_MAX = 4
VALUE_SIZES = (8, 60, 60, 300, 3000)


class Event(Enum):
    COMMIT = "commit"  # the database's open transaction is committed now
    SNAPSHOT = "snapshot"  # a snapshot file is made of the database
    KILL = "kill"  # as kill -9, then a new start
    STOP = "stop"  # as SIGTERM, then a new start
    REST = "rest"  # time passes without a request
    LAG = "lag"  # a follower is killed, and started again only with a later LAG or at the end


@dataclass(frozen=True, slots=True)
class Submit:
    """Requests under way at the same time. ``first`` is the number of the first one."""

    first: int
    requests: tuple[Request, ...]


Step = Submit | Event


def draw_script(seed: int, requests: int, *, members: int) -> list[Step]:
    """A script of ``requests`` numbered requests, the same for the same arguments."""
    random = Random(f"script {seed}")
    space, values = KeySpace(), _values(random)
    steps: list[Step] = []
    done = 0
    while done < requests:
        count = min(random.randint(1, REQUESTS_PER_SUBMIT_MAX), requests - done)
        batch: list[Request] = []
        for _ in range(count):
            batch.append(_request(random, values, space))
            space.apply(batch[-1])
        steps.append(Submit(done, tuple(batch)))
        done += count
        if random.random() < 0.3:
            steps.append(_event(random, members))
    return steps


def requests_of(script: list[Step]) -> list[Request]:
    return [request for step in script if isinstance(step, Submit) for request in step.requests]


def _event(random: Random, members: int) -> Event:
    events = [Event.COMMIT, Event.COMMIT, Event.SNAPSHOT, Event.KILL, Event.STOP, Event.REST]
    if members > 1:
        events += [Event.LAG] * 3
    return random.choice(events)


def _values(random: Random) -> Iterator[str]:
    """Values that are all different, of sizes below and above a page."""
    number = 0
    while True:
        number += 1
        yield f"{number}-".ljust(random.choice(VALUE_SIZES), "x")


def _request(random: Random, values: Iterator[str], space: KeySpace) -> Request:
    draw = random.random()
    key = random.choice(KEYS)
    if draw < 0.55:
        return Put(key, next(values))
    if draw < 0.65:
        return Delete(key)
    if draw < 0.70:
        return Delete(KEYS[3], KEYS[7])
    revision = space.revision - random.choice((0, 1, 5, 20))
    if draw < 0.92 or revision <= space.compact_revision:
        return _txn(random, values)
    return Compact(revision)


def _txn(random: Random, values: Iterator[str]) -> Txn:
    first, second, third = random.sample(KEYS, 3)
    relation = random.choice((Relation.EQUAL, Relation.GREATER))
    compare = Compare(first, Target.VERSION, relation, random.randrange(3))
    success: tuple[KeyOp, ...] = (
        Put(first, next(values)),
        Put(second, next(values)),
        Delete(third),
    )
    return Txn((compare,), success, (Put(second, next(values)), Put(third, next(values))))
