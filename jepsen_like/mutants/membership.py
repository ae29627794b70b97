"""Mutants of the changes of who is a member."""

from __future__ import annotations

from jepsen_like.mutants.mutant import Change, Hunt, Mutant

_LOST = (
    "election safety",
    "leader completeness",
    "state machine safety",
    "equal states",
    "linearizable",
    "assertion",
    "hashes",
    "acknowledged entries survive",
)

MEMBERSHIP = (
    Mutant(
        22,
        "learner-counts",
        "a learner's acknowledgement counts towards the quorum",
        (
            Change(
                "raftkv.raft.leader",
                "        return progress[node].match if node in progress else 0\n",
                "        return max(\n"
                "            p.match for n, p in progress.items() if p.is_learner or n == node\n"
                "        ) if node in progress else 0\n",
            ),
        ),
        frozenset(_LOST),
        Hunt(kinds=("member added", "isolate", "kill"), size=3, pace=0.3),
    ),
    Mutant(
        34,
        "wiped-member-keeps-its-id",
        "a member whose disk was lost starts again under its old identity",
        (
            Change(
                "raftkv.server.introduction",
                "    if row is not None and (row.has_started or me in view.heard):\n",
                "    if False and row is not None:\n",
            ),
        ),
        frozenset(_LOST),
        Hunt(kinds=("member wiped and started under its old identity",), size=3),
        "etcd #13466",
    ),
)
