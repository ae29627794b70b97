"""All mutants by number and name.

Owns: the list. Must never do: hold two of one number.
"""

from __future__ import annotations

from jepsen_like.mutants.auth import AUTH
from jepsen_like.mutants.healing import HEALING
from jepsen_like.mutants.keyspace import KEYSPACE
from jepsen_like.mutants.lease import LEASE
from jepsen_like.mutants.membership import MEMBERSHIP
from jepsen_like.mutants.mutant import Mutant
from jepsen_like.mutants.raft import RAFT
from jepsen_like.mutants.storage import STORAGE
from jepsen_like.mutants.watches import WATCHES

MUTANTS: tuple[Mutant, ...] = tuple(
    sorted(
        (*RAFT, *STORAGE, *KEYSPACE, *WATCHES, *LEASE, *MEMBERSHIP, *AUTH, *HEALING),
        key=lambda mutant: mutant.number,
    )
)


def mutant_named(name: str) -> Mutant:
    """By name or number. ValueError says what there is."""
    for mutant in MUTANTS:
        if name in (mutant.name, str(mutant.number)):
            return mutant
    raise ValueError(f"no mutant {name!r}; there are {', '.join(m.name for m in MUTANTS)}")
