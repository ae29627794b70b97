"""Mutants of the Raft core and of the loop that drives it."""

from __future__ import annotations

from jepsen_like.mutants.mutant import Change, Hunt, Mutant

_STORM = "lossy, duplicating, slow network"
_ELECTIONS = ("election safety", "one vote a term")
_LOGS = ("leader completeness", "state machine safety", "equal states")
_LOST = ("linearizable", "assertion", "hashes", "acknowledged entries survive", *_LOGS)

RAFT = (
    Mutant(
        1,
        "vote-before-durable",
        "a vote is sent before it is on disk",
        (
            Change(
                "raftkv.raft.core",
                "        at_once = type in _SENT_AT_ONCE or (\n",
                "        at_once = type in _SENT_AT_ONCE or type is MessageType.VOTE_RESP or (\n",
            ),
        ),
        frozenset(_ELECTIONS),
        Hunt(
            kinds=("power cut of all", "power cut", "slow disk"),
            size=3,
            heartbeat_ms=10,
            think_s=1.0,
            pace=0.1,
            without_pre_vote=True,
        ),
        "PySyncObj #84, Redpanda #19",
    ),
    Mutant(
        2,
        "term-reset-at-restart",
        "a restarted member begins at term 0 and has voted for nobody",
        (
            Change("raftkv.raft.core", "self.term = hard_state.term", "self.term = 0"),
            Change("raftkv.raft.core", "self.vote = hard_state.vote", "self.vote = NO_NODE"),
        ),
        frozenset(("terms grow", *_ELECTIONS, *_LOST)),
        Hunt(kinds=("kill", "kill all", "power cut of all")),
        "PySyncObj #201, #202",
    ),
    Mutant(
        3,
        "old-vote-counts",
        "a candidate counts a vote that was given in an older term",
        (
            Change(
                "raftkv.raft.raw_node",
                "        elif 0 < message.term < core.term:\n",
                "        elif 0 < message.term < core.term and "
                "message.type is not MessageType.VOTE_RESP:\n",
            ),
        ),
        frozenset((*_ELECTIONS, *_LOST)),
        Hunt(
            kinds=(_STORM, "kill", "isolate"),
            size=3,
            heartbeat_ms=30,
            think_s=0.1,
            pace=0.3,
            without_pre_vote=True,
            entry_by_entry=True,
        ),
        "Xraft #33",
    ),
    Mutant(
        4,
        "vote-by-term-only",
        "whose log is more up to date is decided by its last term alone",
        (
            Change(
                "raftkv.raft.log",
                "return (last_term, last_index) >= (self.last_term, self.last_index)",
                "return last_term >= self.last_term",
            ),
        ),
        frozenset(_LOST),
        Hunt(
            kinds=("isolate", "one-way cut", "kill", "split in halves"),
            size=3,
            heartbeat_ms=30,
            think_s=0.05,
            pace=0.3,
        ),
    ),
    Mutant(
        5,
        "commit-by-counting-old-term",
        "a leader commits an entry of an older term once a majority has it",
        (
            Change(
                "raftkv.raft.leader",
                "    if core.log.term(index) != core.term:\n        return False\n",
                "",
            ),
        ),
        frozenset(("schedule",)),
        origin="Raft paper, figure 8; PySyncObj #169",
        schedule="tests/raft/test_raft_safety.py::"
        "test_5_4_2_old_entries_are_not_committed_by_counting",
    ),
    Mutant(
        6,
        "commit-goes-back",
        "a member takes the leader's commit index even when it is behind its own",
        (
            Change(
                "raftkv.raft.log",
                "        if index <= self.committed:\n            return False\n",
                "        if index == self.committed:\n            return False\n",
            ),
        ),
        frozenset(("commits grow", "applied is committed", "assertion")),
        Hunt(),
        "PySyncObj #166",
    ),
    Mutant(
        7,
        "match-assigned",
        "an old acknowledgement lowers what the leader knows of a member",
        (
            Change(
                "raftkv.raft.progress",
                "        if index <= self.match:\n            return False\n"
                "        self.match = index\n",
                "        if index == self.match:\n            return False\n"
                "        self.match = index\n",
            ),
        ),
        frozenset(("matches grow",)),
        Hunt(kinds=(_STORM, "kill")),
        "PySyncObj #167, RaftOS #25",
    ),
    Mutant(
        8,
        "short-message-truncates",
        "an old, short append cuts off what follows it, though the terms agree",
        (
            Change(
                "raftkv.raft.log",
                "        return prev + len(entries)\n",
                "        end = prev + len(entries)\n"
                "        if entries and self.committed <= end < self.last_index:\n"
                "            del self._entries[end + 1 - self._offset :]\n"
                "            self.handed = min(self.handed, end)\n"
                "            self.stable = min(self.stable, end)\n"
                "        return end\n",
            ),
        ),
        frozenset((*_LOST, "no storm of messages", "a healed quorum serves")),
        Hunt(kinds=(_STORM, "power cut", "kill"), size=3),
        "RaftOS #26",
    ),
    Mutant(
        9,
        "conflict-kept",
        "an entry that conflicts with the leader's stays",
        (
            Change(
                "raftkv.raft.log",
                "            if self.term(entry.index) != entry.term:\n"
                "                self._replace_from",
                "            if self.term(entry.index) is None:\n"
                "                self._replace_from",
            ),
        ),
        frozenset(_LOST),
        Hunt(kinds=("isolate", "one-way cut", "kill", "split in halves")),
    ),
    Mutant(
        10,
        "gap-taken-for-agreement",
        "entries are taken though the one before them is missing",
        (
            Change(
                "raftkv.raft.log",
                "        if self.term(prev) != prev_term:\n            return None\n",
                "        if self.term(prev) not in (None, prev_term):\n            return None\n",
            ),
        ),
        frozenset(_LOST),
        Hunt(kinds=(_STORM, "isolate", "kill")),
        "WRaft #118",
    ),
    Mutant(
        13,
        "ack-before-sync",
        "a follower acknowledges entries before they are on disk",
        (
            Change(
                "raftkv.raft.core",
                "        at_once = type in _SENT_AT_ONCE or (\n",
                "        at_once = type in _SENT_AT_ONCE or type is MessageType.APP_RESP or (\n",
            ),
        ),
        frozenset(_LOST),
        Hunt(kinds=("power cut", "power cut of all", "slow disk")),
    ),
    Mutant(
        14,
        "single-applies-unsaved",
        "a lone member counts itself before its own disk has the entry",
        (
            Change(
                "raftkv.raft.leader",
                "    core.uncommitted_bytes += size\n    replication.broadcast_append(core)\n",
                "    core.uncommitted_bytes += size\n    replication.broadcast_append(core)\n"
                "    if len(core.progress) == 1:\n"
                "        core.progress[core.id].acknowledged(core.log.last_index)\n"
                "        maybe_commit(core)\n",
            ),
            Change(
                "raftkv.raft.log",
                "        return self.pending_snapshot is None and self.applying < "
                "min(self.committed, self.stable)\n",
                "        return self.pending_snapshot is None and self.applying < self.committed\n",
            ),
            Change(
                "raftkv.raft.log",
                "        end = min(self.committed, self.stable)\n"
                "        entries = self.slice(self.applying + 1, bytes_max, end=end)\n",
                "        end = self.committed\n"
                "        entries = self.slice(self.applying + 1, bytes_max, end=end)\n",
            ),
        ),
        frozenset(_LOST),
        Hunt(kinds=("kill", "power cut", "slow disk"), size=1),
        "etcd #14370",
    ),
    Mutant(
        15,
        "read-without-quorum",
        "a leader answers reads without asking whether it still leads",
        (
            Change(
                "raftkv.raft.leader",
                "    if core.membership.config.has_quorum({core.id}):\n",
                "    if core.id in core.membership.config.voters:\n",
            ),
        ),
        frozenset(("linearizable",)),
        Hunt(workload="register", kinds=("isolate", "one-way cut", "pause"), size=3),
        "etcd 0.4.1, RedisRaft #19",
    ),
    Mutant(
        16,
        "read-context-reused",
        "every ReadIndex round of a member has the same context: late answers release new reads",
        (Change("raftkv.server.reads", "        self._next_round += 1\n", ""),),
        frozenset(("linearizable",)),
        Hunt(workload="register", kinds=("isolate", "pause", _STORM)),
        "etcd #20418",
    ),
    Mutant(
        17,
        "read-before-own-commit",
        "a new leader serves reads before it has committed anything in its term",
        (
            Change(
                "raftkv.raft.leader",
                "    if not core.has_committed_in_term:\n        if len(core.early_reads)",
                "    if False:\n        if len(core.early_reads)",
            ),
        ),
        frozenset(("linearizable",)),
        Hunt(workload="register", kinds=("kill", "isolate", "slow disk", "pause")),
    ),
    Mutant(
        26,
        "commit-beyond-verified",
        "heartbeats name the leader's commit index, and a follower commits as far as its log goes",
        (
            Change(
                "raftkv.raft.replication",
                "            commit = min(progress.match, core.log.committed)\n",
                "            commit = core.log.committed + 0 * progress.match\n",
            ),
            Change(
                "raftkv.raft.follower",
                "    if message.commit <= core.log.last_index:\n"
                "        core.log.commit_to(message.commit)\n",
                "    core.log.commit_to(min(message.commit, core.log.last_index))\n",
            ),
        ),
        frozenset(_LOST),
        Hunt(
            kinds=("isolate", "one-way cut", "kill"),
            size=3,
            heartbeat_ms=10,
            think_s=0.02,
            pace=0.1,
            entry_by_entry=True,
        ),
    ),
)
