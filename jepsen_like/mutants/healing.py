"""Mutants of finding wrong data and repairing it."""

from __future__ import annotations

from jepsen_like.mutants.mutant import Change, Mutant

_TESTS = "tests/server/test_server_healing.py::"

HEALING = (
    Mutant(
        80,
        "damaged-row-is-served",
        "a row that fails its check is given out all the same",
        (
            Change(
                "raftkv.backend.checked",
                "elif extend(ZERO, row) == ZERO and row.find(",
                "elif row.find(",
            ),
        ),
        frozenset(("schedule",)),
        origin="etcd #14102",
        schedule=_TESTS + "test_a_read_that_meets_damage_fails_and_the_member_is_repaired[False]",
    ),
    Mutant(
        81,
        "quarantined-member-serves",
        "a member whose data is wrong answers its own reads until it is repaired",
        (
            Change(
                "raftkv.server.member",
                "        if self.quarantine.is_on:\n            proceed(self.quarantine.refusal)\n"
                "            return\n",
                "",
            ),
            Change(
                "raftkv.server.member",
                "            proceed(None if is_healthy else self.quarantine.refusal)\n",
                "            proceed(None if is_healthy else None)\n",
            ),
        ),
        frozenset(("schedule",)),
        origin="etcd #13839",
        schedule=_TESTS + "test_a_quarantined_member_serves_nothing",
    ),
    Mutant(
        82,
        "repaired-from-the-minority",
        "who holds with the majority is taken for wrong, and is given the other's data",
        (
            Change(
                "raftkv.server.state_check",
                "        for member in wrong:\n            self._accuse(",
                "        right = round_.found[wrong[0]]\n"
                "        for member in [m for m in round_.found if m not in wrong]:\n"
                "            self._accuse(",
            ),
        ),
        frozenset(("schedule",)),
        origin="etcd #14849",
        schedule=_TESTS
        + "test_who_applies_an_entry_differently_is_found_at_the_next_position[False]",
    ),
    Mutant(
        83,
        "repaired-without-proof",
        "a member serves from a peer's copy before it has compared every row of it",
        (
            Change(
                "raftkv.server.healing",
                "        self.scrub.now(self._proved)\n",
                "        self._proved()\n",
            ),
        ),
        frozenset(("schedule",)),
        schedule=_TESTS + "test_a_peer_whose_own_data_is_damaged_repairs_nobody",
    ),
    Mutant(
        84,
        "restart-ends-a-quarantine",
        "a member that was restarted believes the data that it had found wrong",
        (
            Change(
                "raftkv.server.healing",
                "        if self._engine.foundation.quarantined:\n",
                "        if self._engine.stopped:\n",
            ),
        ),
        frozenset(("schedule",)),
        schedule=_TESTS + "test_a_restart_does_not_end_a_quarantine",
    ),
)
