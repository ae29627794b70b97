"""The compatibility tables say what the code serves: no more, no less. (Metrics are compared with a
running member's, in tests/e2e.)"""

from __future__ import annotations

from raftkv.api import rpc_pb2
from raftkv.cli.flags import FLAGS
from raftkv.cli.settings import CONFIG_FILE
from raftkv.rpc.health import Health
from raftkv.rpc.services import services_of
from raftkv.simulation.cluster import SimulatedCluster
from tests.tidy.compatibility_tables import difference, rows_of

SERVED = {"yes", "differs"}
# Methods of etcd's port whose services are not among proto/'s, or were not when this was written.
OTHER_METHODS = (
    *(f"v3lockpb.Lock/{name}" for name in ("Lock", "Unlock")),
    *(
        f"v3electionpb.Election/{name}"
        for name in ("Campaign", "Proclaim", "Leader", "Observe", "Resign")
    ),
    *(f"grpc.health.v1.Health/{name}" for name in ("Check", "List", "Watch")),
)


def served_methods() -> set[str]:
    """What a real member serves; it runs on virtual time and is never driven."""
    cluster = SimulatedCluster(size=1)
    cluster.start_all()
    try:
        services = services_of(cluster.running[0].member, Health())
    finally:
        cluster.stop_all()
    return {
        f"{service.name}/{method}"
        for service in services
        for method in (*service.unary, *service.streams)
    }


def test_every_method_has_a_row() -> None:
    """Of etcd's methods and of ours: served ones are told as yes or differs, the others as no."""
    served = served_methods()
    methods = {
        f"{service.full_name}/{method.name}"
        for service in rpc_pb2.DESCRIPTOR.services_by_name.values()
        for method in service.methods
    }
    known = {
        name: SERVED if name in served else {"no"} for name in methods | served | {*OTHER_METHODS}
    }
    wrong = difference("compatibility.md", rows_of("compatibility.md", "Methods"), known)
    assert not wrong, wrong


def test_every_flag_has_a_row() -> None:
    """A row's state is the flag's own (``Flag.state``)."""
    known = {f"--{flag.name}": {flag.state.value} for flag in (*FLAGS, CONFIG_FILE)}
    known["--version"] = {"yes"}
    wrong = difference("flags.md", rows_of("flags.md"), known)
    assert not wrong, wrong


def test_a_table_that_lies_is_found_out() -> None:
    """A missing row, a wrong state and a row of nothing are each named with what to do."""
    told = {"a": "yes", "b": "no", "d": "yes"}
    wrong = difference("x.md", told, {"a": SERVED, "b": SERVED, "c": {"no"}})
    assert "add a row:    | `c` | no |" in wrong
    assert "change a row: `b` is told as 'no'" in wrong
    assert "remove a row: `d`" in wrong
    assert difference("x.md", {"a": "yes"}, {"a": SERVED}) == ""
