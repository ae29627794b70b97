"""DNS: the names of the specification, and messages that are not questions."""

from __future__ import annotations

import dns.flags
import dns.message
import dns.rcode
import dns.rdatatype
import pytest

from apiserver_shim.components.dns.answers import answer
from apiserver_shim.components.dns.records import Zone, records_of

WEB = {
    "metadata": {"name": "web", "namespace": "default"},
    "spec": {
        "clusterIP": "127.96.0.7",
        "ports": [{"name": "http", "port": 8080}, {"name": "q", "port": 53, "protocol": "UDP"}],
    },
}
DB = {
    "metadata": {"name": "db", "namespace": "prod"},
    "spec": {"clusterIP": "None", "ports": [{"name": "sql", "port": 5432}]},
}
ELSEWHERE = {
    "metadata": {"name": "ext", "namespace": "default"},
    "spec": {"type": "ExternalName", "externalName": "web.default.svc.cluster.local"},
}
SLICE = {
    "metadata": {"namespace": "prod", "labels": {"kubernetes.io/service-name": "db"}},
    "ports": [{"name": "sql", "port": 5432}],
    "endpoints": [
        {"addresses": ["127.64.0.1"], "hostname": "db-0"},
        {"addresses": ["127.64.0.2"], "conditions": {"ready": True}},
        {"addresses": ["127.64.0.3"], "conditions": {"ready": False}},
    ],
}
ZONE = Zone(records_of([WEB, DB, ELSEWHERE], [SLICE]))


def ask(
    name: str, kind: str, *, stream: bool = False, zone: Zone = ZONE, payload: int | None = None
) -> dns.message.Message:
    """``payload``: the bytes of a datagram that EDNS offers."""
    query = dns.message.make_query(name, kind, payload=payload)
    raw = answer(query.to_wire(), zone, stream=stream)
    assert raw is not None
    reply = dns.message.from_wire(raw)
    assert query.is_response(reply)
    return reply


def told(reply: dns.message.Message) -> list[str]:
    return sorted(str(record) for rrset in reply.answer for record in rrset)


@pytest.mark.parametrize(
    ("name", "kind", "values"),
    [
        ("web.default.svc.cluster.local", "A", ["127.96.0.7"]),
        ("WEB.Default.svc.cluster.local", "A", ["127.96.0.7"]),
        ("db.prod.svc.cluster.local", "A", ["127.64.0.1", "127.64.0.2"]),
        ("db-0.db.prod.svc.cluster.local", "A", ["127.64.0.1"]),
        ("127-64-0-2.db.prod.svc.cluster.local", "A", ["127.64.0.2"]),
        ("127-64-0-9.default.pod.cluster.local", "A", ["127.64.0.9"]),
        (
            "_http._tcp.web.default.svc.cluster.local",
            "SRV",
            ["0 100 8080 web.default.svc.cluster.local."],
        ),
        (
            "_sql._tcp.db.prod.svc.cluster.local",
            "SRV",
            [
                "0 100 5432 127-64-0-2.db.prod.svc.cluster.local.",
                "0 100 5432 db-0.db.prod.svc.cluster.local.",
            ],
        ),
        ("7.0.96.127.in-addr.arpa", "PTR", ["web.default.svc.cluster.local."]),
        ("1.0.64.127.in-addr.arpa", "PTR", ["db-0.db.prod.svc.cluster.local."]),
        ("dns-version.cluster.local", "TXT", ['"1.1.0"']),
        (
            "ext.default.svc.cluster.local",
            "A",
            ["127.96.0.7", "web.default.svc.cluster.local."],
        ),
    ],
)
def test_names_of_the_specification(name: str, kind: str, values: list[str]) -> None:
    """Each name that Kubernetes' DNS specification promises has its records."""
    reply = ask(name, kind)
    assert told(reply) == values
    assert reply.flags & dns.flags.AA
    assert reply.rcode() == dns.rcode.NOERROR


@pytest.mark.parametrize(
    ("name", "kind", "code"),
    [
        ("absent.default.svc.cluster.local", "A", dns.rcode.NXDOMAIN),
        ("a-b-c-d.default.pod.cluster.local", "A", dns.rcode.NXDOMAIN),
        ("web.default.svc.cluster.local", "AAAA", dns.rcode.NOERROR),
        ("default.svc.cluster.local", "A", dns.rcode.NOERROR),
        ("example.org", "A", dns.rcode.REFUSED),
    ],
)
def test_what_is_not_there(name: str, kind: str, code: dns.rcode.Rcode) -> None:
    """No such name, no such record of a name that is there, and a name that is not ours."""
    reply = ask(name, kind)
    assert not reply.answer
    assert reply.rcode() == code


def test_an_answer_beyond_a_datagram_is_cut_and_whole_by_tcp() -> None:
    """The TC flag sends the client to TCP, where everything fits. EDNS makes datagrams larger."""
    endpoints = [{"addresses": [f"127.64.{n // 250}.{n % 250 + 1}"]} for n in range(400)]
    zone = Zone(records_of([DB], [{**SLICE, "endpoints": endpoints}]))
    cut = ask("db.prod.svc.cluster.local", "A", zone=zone)
    assert cut.flags & dns.flags.TC
    few = Zone(records_of([DB], [{**SLICE, "endpoints": endpoints[:60]}]))
    assert ask("db.prod.svc.cluster.local", "A", zone=few).flags & dns.flags.TC
    assert not ask("db.prod.svc.cluster.local", "A", zone=few, payload=1232).flags & dns.flags.TC
    whole = ask("db.prod.svc.cluster.local", "A", stream=True, zone=zone)
    assert len(told(whole)) == 400
    assert not whole.flags & dns.flags.TC


def test_what_is_no_question() -> None:
    """Answers are ignored, rubbish with an id is a format error, other operations are refused."""
    query = dns.message.make_query("web.default.svc.cluster.local", "A")
    assert answer(dns.message.make_response(query).to_wire(), ZONE, stream=False) is None
    assert answer(b"\x01", ZONE, stream=False) is None
    bad = answer(b"\x12\x34" + b"\xff" * 20, ZONE, stream=False)
    assert bad is not None
    assert dns.message.from_wire(bad).rcode() == dns.rcode.FORMERR
    update = dns.message.make_query("web.default.svc.cluster.local", "A")
    update.set_opcode(dns.opcode.STATUS)
    raw = answer(update.to_wire(), ZONE, stream=False)
    assert raw is not None
    assert dns.message.from_wire(raw).rcode() == dns.rcode.NOTIMP
