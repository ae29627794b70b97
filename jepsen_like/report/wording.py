"""Requests, outcomes, responses and times in words.

Owns: how the report says things. Whatever a client sent is shown so that nothing in it is
invisible or can be taken for the page's own words: texts that are no plain word are quoted, and
what does not print is escaped. Must never do: make markup (that is ``markup``), or judge.
"""

from __future__ import annotations

import re
from enum import Enum

from jepsen_like.history.operation import Event, Watch, WatchResponse
from jepsen_like.history.request import (
    Compact,
    Compare,
    Delete,
    Get,
    Grant,
    KeepAlive,
    KeyOp,
    Put,
    Request,
    Revoke,
    Txn,
)
from jepsen_like.history.result import (
    Compacted,
    Decided,
    Deleted,
    Found,
    Granted,
    KeyValue,
    Outcome,
    Refused,
    Renewed,
    Revoked,
    Unknown,
    Written,
)

TEXT_CHARS_MAX = 60
SENTENCE_CHARS_MAX = 400
ITEMS_MAX = 8

_PLAIN = re.compile(r"[A-Za-z0-9_./:-]+")
_ALL_FROM = "\0"


class Standing(Enum):
    """How a call ended, as the page colours it."""

    ANSWERED = "answered"
    REFUSED = "refused"
    UNKNOWN = "unknown"


def standing(outcome: Outcome) -> Standing:
    match outcome:
        case Refused():
            return Standing.REFUSED
        case Unknown():
            return Standing.UNKNOWN
        case _:
            return Standing.ANSWERED


def clipped(text: str, chars_max: int) -> str:
    return text if len(text) <= chars_max else text[: chars_max - 1] + "…"


def visible(text: str) -> str:
    """What does not print (controls, direction marks, lone surrogates) becomes an escape."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def quoted(text: str) -> str:
    """A plain word as it is, anything else in quotes."""
    if _PLAIN.fullmatch(text):
        return clipped(text, TEXT_CHARS_MAX)
    shown = visible(clipped(text, TEXT_CHARS_MAX)).replace('"', '\\"')
    return f'"{shown}"'


def duration(seconds: float) -> str:
    """Three digits and a unit that a person can compare."""
    for unit, scale in (("s", 1.0), ("ms", 1e-3)):
        if seconds >= scale:
            amount = seconds / scale
            return f"{amount:.{0 if amount >= 100 else 1 if amount >= 10 else 2}f} {unit}"
    return f"{seconds * 1e6:.0f} µs"


def counted(count: int, noun: str) -> str:
    """``1 operation``, ``12,000 operations``."""
    return f"{count:,} {noun}" + ("" if count == 1 else "s")


def key_range(key: str, end: str) -> str:
    if not end:
        return quoted(key)
    if end == _ALL_FROM:
        return "all keys" if key in ("", _ALL_FROM) else f"keys from {quoted(key)} on"
    return f"keys {quoted(key)} to {quoted(end)}"


def request_words(request: Request) -> str:
    return clipped(_request(request), SENTENCE_CHARS_MAX)


def outcome_words(outcome: Outcome) -> str:
    return clipped(_outcome(outcome), SENTENCE_CHARS_MAX)


def response_words(response: WatchResponse) -> str:
    """One response of a watch's stream."""
    if response.canceled:
        reason = f", compacted at {response.compact_revision}" if response.compact_revision else ""
        return f"canceled{reason} (revision {response.revision})"
    if response.created:
        return f"created at revision {response.revision}"
    if not response.events:
        return f"progress: all up to revision {response.revision}"
    events = _listed([_event(event) for event in response.events[: ITEMS_MAX + 1]])
    part = ", fragment" if response.fragment else ""
    text = f"{counted(len(response.events), 'event')} at revision {response.revision}{part}"
    return clipped(f"{text}: {events}", SENTENCE_CHARS_MAX)


def watch_words(watch: Watch) -> str:
    start = f"from revision {watch.start_revision} on" if watch.start_revision else "from now on"
    previous = ", with previous values" if watch.prev_kv else ""
    return f"watch {key_range(watch.key, watch.end)} {start}{previous}"


def _request(request: Request) -> str:
    match request:
        case Get() | Put() | Delete():
            return _key_op(request)
        case Txn():
            return _txn(request)
        case Compact(revision, physical):
            return f"compact to revision {revision}" + (", physically" if physical else "")
        case Grant(lease, ttl_s):
            return f"grant lease {lease} for {ttl_s} s"
        case Revoke(lease):
            return f"revoke lease {lease}"
        case KeepAlive(lease):
            return f"keep lease {lease} alive"


def _key_op(op: KeyOp) -> str:
    match op:
        case Put(key, value, lease):
            held = f" with lease {lease}" if lease else ""
            return f"put {quoted(key)} = {quoted(value)}{held}"
        case Delete(key, end):
            return f"delete {key_range(key, end)}"
        case Get(key, end, revision, limit, serializable):
            words = [f"get {key_range(key, end)}"]
            words += [f"at revision {revision}"] if revision else []
            words += [f"limit {limit}"] if limit else []
            words += ["serializable"] if serializable else []
            return ", ".join(words)


def _txn(txn: Txn) -> str:
    then = _listed([_key_op(op) for op in txn.success]) or "nothing"
    otherwise = _listed([_key_op(op) for op in txn.failure]) or "nothing"
    if not txn.compares:
        return f"txn: {then}"
    condition = " and ".join(_compare(compare) for compare in txn.compares)
    return f"txn: if {condition} then {then}, else {otherwise}"


def _compare(compare: Compare) -> str:
    operand = compare.operand
    shown = quoted(operand) if isinstance(operand, str) else str(operand)
    target = f"{compare.target.value} of {quoted(compare.key)}"
    return f"{target} {compare.relation.value} {shown}"


def _outcome(outcome: Outcome) -> str:
    match outcome:
        case Refused(code, text) | Unknown(code, text):
            named = " ".join(part for part in (visible(code), visible(text)) if part)
            return f"{standing(outcome).value}: {named}"
        case Found() | Written() | Deleted():
            return f"{_key_result(outcome)} (revision {outcome.revision})"
        case Decided(revision, succeeded, results):
            branch = "condition held" if succeeded else "condition failed"
            shown = "; ".join(_result_in(result, revision) for result in results) or "nothing done"
            return f"{branch}: {shown} (revision {revision})"
        case Compacted(revision):
            return f"compacted (revision {revision})"
        case Granted(revision, lease, ttl_s):
            return f"granted lease {lease} for {ttl_s} s (revision {revision})"
        case Revoked(revision):
            return f"revoked (revision {revision})"
        case Renewed(revision, ttl_s):
            life = f"renewed for {ttl_s} s" if ttl_s else "no such lease"
            return f"{life} (revision {revision})"


def _key_result(result: Found | Written | Deleted) -> str:
    match result:
        case Written():
            return "written"
        case Deleted(_, count):
            return f"deleted {counted(count, 'key')}"
        case Found(_, kvs, count, more):
            if not kvs:
                return f"counted {counted(count, 'key')}" if count else "found nothing"
            total = f"{len(kvs)} of {count}: " if more or len(kvs) != count or count > 1 else ""
            return f"found {total}{_listed([_kv(kv) for kv in kvs[: ITEMS_MAX + 1]])}"


def _result_in(result: Found | Written | Deleted, revision: int) -> str:
    """Inside a txn every header should say the txn's revision; another one is worth seeing."""
    own = f", own header at {result.revision}" if result.revision != revision else ""
    return f"{_key_result(result)}{own}"


def _kv(kv: KeyValue) -> str:
    lease = f", lease {kv.lease}" if kv.lease else ""
    made = f"created {kv.create_revision}, modified {kv.mod_revision}, version {kv.version}"
    return f"{quoted(kv.key)} = {quoted(kv.value)} [{made}{lease}]"


def _event(event: Event) -> str:
    change = "delete" if event.is_delete else "put"
    value = "" if event.is_delete else f" = {quoted(event.kv.value)}"
    before = f", was {quoted(event.prev.value)}" if event.prev else ""
    return f"{change} {quoted(event.kv.key)}{value} at {event.kv.mod_revision}{before}"


def _listed(items: list[str]) -> str:
    more = ["…"] if len(items) > ITEMS_MAX else []
    return "; ".join(items[:ITEMS_MAX] + more)
