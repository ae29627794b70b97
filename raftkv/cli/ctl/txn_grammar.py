"""The lines of a txn as etcdctl reads them: compares, then requests for either case.

Owns: the grammar of a line. Must never do: read or print.

    mod("key") > "0"
    put "a key" value
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Any, NoReturn

import click

from raftkv.api import rpc_pb2 as api
from raftkv.cli.ctl.failure import INVALID_INPUT, Failure
from raftkv.cli.ctl.key import (
    delete,
    delete_request,
    get,
    lease_id,
    put,
    put_request,
    range_request,
    raw,
)

_QUOTED = r'"(?:[^"\\]|\\.)*"'
_COMPARE = re.compile(rf"\s*({_QUOTED}|[^\s)]+)\s*\)\s*(\S+)\s+({_QUOTED}|\S+)")
_WORD = re.compile(rf"{_QUOTED}|'[^']*'|\S+")
_RESULTS = {"=": "EQUAL", "!=": "NOT_EQUAL", ">": "GREATER", "<": "LESS"}
_TARGETS = {
    "ver": "VERSION", "version": "VERSION", "c": "CREATE", "create": "CREATE", "m": "MOD",
    "mod": "MOD", "val": "VALUE", "value": "VALUE", "lease": "LEASE",
}  # fmt: skip
_FIELDS = {"VERSION": "version", "CREATE": "create_revision", "MOD": "mod_revision"}
_ESCAPE = re.compile(r"\\(x[0-9a-fA-F]{2}|[0-7]{3}|u[0-9a-fA-F]{4}|U[0-9a-fA-F]{8}|.)")
_SIMPLE = {
    "a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v", "\\": "\\",
    '"': '"', "'": "'",
}  # fmt: skip


def parse_compare(line: str) -> api.Compare:
    target, bracket, rest = line.partition("(")
    found = _COMPARE.fullmatch(rest.strip())
    if not bracket or found is None:
        _malformed(f"malformed comparison: {line}")
    key, operator, value = unquoted(found[1]), found[2], unquoted(found[3])
    if target.strip() not in _TARGETS:
        _malformed(f"malformed comparison: {line} (unknown target {target.strip()})")
    if operator not in _RESULTS:
        _malformed(f"malformed comparison: {line} (unknown operator {operator})")
    kind = _TARGETS[target.strip()]
    compare = api.Compare(
        key=raw(key),
        target=api.Compare.CompareTarget.Value(kind),
        result=api.Compare.CompareResult.Value(_RESULTS[operator]),
    )
    if kind == "VALUE":
        compare.value = raw(value)
    elif kind == "LEASE":
        compare.lease = lease_id(value)
    else:
        try:
            setattr(compare, _FIELDS[kind], int(value))
        except ValueError:
            _malformed(f"invalid txn compare request: {line}")
    return compare


def parse_request(line: str) -> api.RequestOp:
    """`get`, `put` or `del` with their own options."""
    try:
        return _request(line)
    except Failure as error:
        raise Failure(error.message, INVALID_INPUT) from None


def _request(line: str) -> api.RequestOp:
    words = [unquoted(word) for word in _WORD.findall(line)]
    match words[:1]:
        case ["get"]:
            return api.RequestOp(request_range=range_request(**_options(get, words)))
        case ["put"]:
            options = _options(put, words)
            return api.RequestOp(request_put=put_request(read_stdin=lambda: b"", **options))
        case ["del"]:
            return api.RequestOp(request_delete_range=delete_request(**_options(delete, words)))
    return _malformed(f"invalid txn request: {line}")


def _options(verb: click.Command, words: list[str]) -> dict[str, Any]:
    return verb.make_context(words[0], words[1:]).params


def parse_txn(lines: Iterable[str], section: Callable[[int], None]) -> api.TxnRequest:
    """Three sections, each ended by an empty line; ``section`` is told when one begins."""
    given = iter(lines)
    section(0)
    compares = [parse_compare(line) for line in _until_empty(given)]
    section(1)
    success = [parse_request(line) for line in _until_empty(given)]
    section(2)
    failure = [parse_request(line) for line in _until_empty(given)]
    return api.TxnRequest(compare=compares, success=success, failure=failure)


def _until_empty(lines: Iterable[str]) -> Iterable[str]:
    for line in lines:
        text = line.strip()
        if not text:
            return
        yield text


def unquoted(word: str) -> str:
    """What a quoted word means; another one is itself."""
    if len(word) >= 2 and word[0] == word[-1] == '"':
        return _ESCAPE.sub(_escape, word[1:-1])
    return word[1:-1] if len(word) >= 2 and word[0] == word[-1] == "'" else word


def _escape(found: re.Match[str]) -> str:
    code = found[1]
    if code in _SIMPLE:
        return _SIMPLE[code]
    if code[0] == "x":
        return _byte(int(code[1:], 16))
    if code[0] in "uU":
        return chr(int(code[1:], 16))
    if code.isdigit():
        return _byte(int(code, 8) & 0xFF)
    return _malformed(f"unknown escape \\{code}")


def _byte(value: int) -> str:
    return bytes((value,)).decode("utf-8", "surrogateescape")


def _malformed(message: str) -> NoReturn:
    raise Failure(message, INVALID_INPUT)
