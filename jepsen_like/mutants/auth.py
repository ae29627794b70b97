"""Mutants of auth: permissions that are remembered wrongly, or not asked for.

No workload has users, so each is driven out by a schedule written by hand.
"""

from __future__ import annotations

from jepsen_like.mutants.mutant import Change, Mutant

_AUTHORIZATION = "raftkv.apply.authorization"

AUTH = (
    Mutant(
        39,
        "permissions-outlive-a-snapshot",
        "a member that was filled by a snapshot judges by the permissions that it had worked out "
        "before, and applies another outcome than its peers",
        (
            Change(
                "raftkv.auth.book",
                "        self._permissions: dict[str, Permissions] = {}\n",
                '        self._permissions = getattr(self, "_permissions", {})\n',
            ),
        ),
        frozenset(("schedule",)),
        origin="etcd #14571, #11651",
        schedule="tests/apply/test_apply_auth.py::test_a_reopened_book_derives_its_answers_anew",
    ),
    Mutant(
        53,
        "nested-txn-unasked",
        "a txn inside a txn may touch every key, and a put in a txn may take a lease whose keys "
        "are another's",
        (
            Change(
                _AUTHORIZATION,
                '                case "request_txn":\n'
                "                    self.txn(caller, op.request_txn)\n",
                "",
            ),
            Change(
                _AUTHORIZATION,
                "                    self.put(caller, op.request_put)\n",
                "                    self._may.may_write(caller, op.request_put.key)\n",
            ),
        ),
        frozenset(("schedule",)),
        origin="CVE-2026-33343, CVE-2026-44283",
        schedule="tests/rpc/test_rpc_auth.py::test_no_user_reaches_anothers_keys",
    ),
    Mutant(
        54,
        "one-key-allows-a-range",
        "who may read one key may watch every key from it on: the open end is looked over",
        (
            Change(
                "raftkv.rpc.guard",
                "            self.may.may_read(self.caller(call), key, range_end)\n",
                '            end = b"" if range_end == b"\\0" else range_end\n'
                "            self.may.may_read(self.caller(call), key, end)\n",
            ),
        ),
        frozenset(("schedule",)),
        origin="GHSA-xg4h-6gfc-h4m8",
        schedule="tests/rpc/test_rpc_auth.py::test_one_key_granted_is_no_range_watched",
    ),
)
