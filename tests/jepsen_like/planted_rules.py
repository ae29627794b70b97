"""``python -m tests.jepsen_like.planted_rules MUTANT``: the state machine on a cluster with a bug.

Owns: a process of its own for that, because a planted bug cannot be taken out again. Prints
hypothesis's report; exit code 1 when the bug was found. Must never do: import the cluster before
the bug is planted.
"""

from __future__ import annotations

import logging
import sys
import traceback

from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from jepsen_like.mutants.catalogue import mutant_named
from jepsen_like.mutants.planting import plant

EXAMPLES_MAX = 400
STEPS_MAX = 15


def main(name: str) -> int:
    logging.disable(logging.CRITICAL)
    plant(mutant_named(name))
    from tests.jepsen_like.cluster_rules import ClusterRules

    chosen = settings(
        derandomize=True,
        deadline=None,
        database=None,
        max_examples=EXAMPLES_MAX,
        stateful_step_count=STEPS_MAX,
        report_multiple_bugs=False,
        phases=(Phase.generate, Phase.shrink),  # explaining traces every line: ten times as slow
        suppress_health_check=(HealthCheck.too_slow,),  # a whole cluster lives in each example
    )
    try:
        run_state_machine_as_test(ClusterRules, settings=chosen)
    except AssertionError:
        traceback.print_exc()
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
