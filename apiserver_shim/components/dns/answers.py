"""A DNS query's bytes to its answer's.

Owns: messages. Must never do: recurse: names outside of the cluster are refused, for whoever asked
to ask another server.
"""

from __future__ import annotations

import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.opcode
import dns.rcode
import dns.rdataclass
import dns.rdatatype
import dns.rrset

from apiserver_shim.components.dns.records import Record, Zone

TTL_S = 5
UDP_BYTES = 512
UDP_BYTES_MAX = 4096
CHAIN_MAX = 8
"""CNAMEs that are followed within the zone."""


def answer(query: bytes, zone: Zone, *, stream: bool) -> bytes | None:
    """None for what deserves none. An answer that a datagram does not hold is cut, and says so."""
    try:
        asked = dns.message.from_wire(query)
    except (dns.exception.DNSException, ValueError):
        return _format_error(query)
    if asked.flags & dns.flags.QR:
        return None
    reply = dns.message.make_response(asked)
    if asked.opcode() != dns.opcode.QUERY or len(asked.question) != 1:
        reply.set_rcode(dns.rcode.NOTIMP)
    else:
        _fill(reply, zone, asked.question[0])
    limit = 65_535 if stream else min(max(asked.payload, UDP_BYTES), UDP_BYTES_MAX)
    try:
        return reply.to_wire(max_size=limit)
    except dns.exception.TooBig:
        cut = dns.message.make_response(asked)
        cut.flags |= dns.flags.AA | dns.flags.TC
        return cut.to_wire()


def _fill(reply: dns.message.Message, zone: Zone, question: dns.rrset.RRset) -> None:
    name = question.name.to_text(omit_final_dot=True).lower()
    if question.rdclass != dns.rdataclass.IN or not zone.holds(name):
        reply.set_rcode(dns.rcode.REFUSED)
        return
    reply.flags |= dns.flags.AA
    kind = dns.rdatatype.to_text(question.rdtype)
    found: list[Record] = []
    for _ in range(CHAIN_MAX):
        found += zone.find(name, kind)
        aliases = zone.find(name, "CNAME") if kind not in ("CNAME", "ANY") else []
        if not aliases:
            break
        found += aliases
        name = aliases[0].value
    for record in found:
        _add(reply.answer, record)
        if record.type == "SRV":
            for target in zone.find(record.value.split()[-1], "A"):
                _add(reply.additional, target)
    if not found and not zone.exists(name):
        reply.set_rcode(dns.rcode.NXDOMAIN)


def _add(section: list[dns.rrset.RRset], record: Record) -> None:
    """Records of one name and type are one set."""
    name = dns.name.from_text(record.name + ".")
    kind = dns.rdatatype.from_text(record.type)
    value = record.value + "." if record.type in ("CNAME", "PTR", "SRV") else record.value
    new = dns.rrset.from_text(name, TTL_S, dns.rdataclass.IN, kind, value)
    for each in section:
        if each.name == name and each.rdtype == kind:
            each.add(new[0])
            return
    section.append(new)


def _format_error(query: bytes) -> bytes | None:
    """With the query's id, if there is one."""
    if len(query) < 12:
        return None
    return query[:2] + b"\x80\x01" + b"\x00" * 8
