"""Mutants of the changes of who is a member."""

from __future__ import annotations

from jepsen_like.mutants.mutant import Change, Hunt, Mutant

_STORM = "lossy, duplicating, slow network"
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
_CHANGES = ("member added", "member removed", "member replaced in one change")

MEMBERSHIP = (
    Mutant(
        19,
        "change-before-own-commit",
        "a new leader takes a change while one that it inherited may be pending",
        (
            Change(
                "raftkv.raft.leader",
                "    core.pending_conf_index = core.log.last_index\n",
                "    core.pending_conf_index = 0\n",
            ),
            Change(
                "raftkv.raft.leader",
                "    if not core.has_committed_in_term:\n        raise ProposalDropped(",
                "    if False:\n        raise ProposalDropped(",
            ),
        ),
        frozenset(_LOST),
        Hunt(kinds=(*_CHANGES, "isolate", "kill"), size=3, heartbeat_ms=10, pace=0.1),
        "Raft erratum of 2015",
    ),
    Mutant(
        20,
        "two-changes-at-once",
        "a second change of members is taken while one is pending",
        (
            Change(
                "raftkv.raft.leader",
                "    if core.pending_conf_index > core.log.applied:\n",
                "    if False:\n",
            ),
        ),
        frozenset(_LOST),
        Hunt(kinds=(*_CHANGES, "isolate", "one-way cut"), size=3, heartbeat_ms=10, pace=0.1),
    ),
    Mutant(
        21,
        "joint-by-new-majority",
        "a joint configuration decides by a majority of the new members alone",
        (
            Change(
                "raftkv.raft.quorum",
                "        return min(majority_index(self.incoming, acked), "
                "majority_index(self.outgoing, acked))\n",
                "        return majority_index(self.incoming, acked)\n",
            ),
            Change(
                "raftkv.raft.quorum",
                "        halves = (majority_vote(self.incoming, votes), "
                "majority_vote(self.outgoing, votes))\n",
                "        halves = (majority_vote(self.incoming, votes),)\n",
            ),
        ),
        frozenset(_LOST),
        Hunt(
            kinds=("member replaced in one change", "isolate", "one-way cut"),
            size=3,
            heartbeat_ms=10,
            think_s=0.02,
            pace=0.3,
        ),
    ),
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
