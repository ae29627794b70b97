"""If, Then, Else: a txn spelled in Python.

Owns: compares and operations as protobuf messages, named in place of enums. Must never do: send.

    Txn().when(mod_revision("k") == 3).then(put("k", "v")).otherwise(get("k"))
"""

from __future__ import annotations

from dataclasses import dataclass

from raftkv.api.rpc_pb2 import (
    Compare,
    DeleteRangeRequest,
    PutRequest,
    RangeRequest,
    RequestOp,
    TxnRequest,
)

Text = bytes | str


def encoded(text: Text) -> bytes:
    return text.encode() if isinstance(text, str) else text


@dataclass(frozen=True, slots=True, eq=False)
class Field:
    """A fact about a key; comparing it with ==, !=, < or > makes a Compare."""

    key: bytes
    target: Compare.CompareTarget.ValueType
    name: str

    def __eq__(self, other: object) -> Compare:  # type: ignore[override]
        return self._compare(Compare.EQUAL, other)

    def __ne__(self, other: object) -> Compare:  # type: ignore[override]
        return self._compare(Compare.NOT_EQUAL, other)

    def __gt__(self, other: object) -> Compare:
        return self._compare(Compare.GREATER, other)

    def __lt__(self, other: object) -> Compare:
        return self._compare(Compare.LESS, other)

    __hash__ = None  # type: ignore[assignment]

    def _compare(self, result: Compare.CompareResult.ValueType, operand: object) -> Compare:
        compare = Compare(key=self.key, target=self.target, result=result)
        setattr(compare, self.name, encoded(operand) if isinstance(operand, str) else operand)
        return compare


def version(key: Text) -> Field:
    """How often the key was put since it was created; 0 for a key that is not there."""
    return Field(encoded(key), Compare.VERSION, "version")


def create_revision(key: Text) -> Field:
    return Field(encoded(key), Compare.CREATE, "create_revision")


def mod_revision(key: Text) -> Field:
    """The revision of the last put; 0 for a key that is not there."""
    return Field(encoded(key), Compare.MOD, "mod_revision")


def value(key: Text) -> Field:
    """Never holds for a key that is not there."""
    return Field(encoded(key), Compare.VALUE, "value")


def get(key: Text, *, range_end: Text = b"") -> RequestOp:
    request = RangeRequest(key=encoded(key), range_end=encoded(range_end))
    return RequestOp(request_range=request)


def put(key: Text, value: Text, *, lease: int = 0, prev_kv: bool = False) -> RequestOp:
    request = PutRequest(key=encoded(key), value=encoded(value), lease=lease, prev_kv=prev_kv)
    return RequestOp(request_put=request)


def delete(key: Text, *, range_end: Text = b"", prev_kv: bool = False) -> RequestOp:
    request = DeleteRangeRequest(key=encoded(key), range_end=encoded(range_end), prev_kv=prev_kv)
    return RequestOp(request_delete_range=request)


class Txn:
    """Every method returns a new Txn. Without ``when`` the ``then`` branch runs."""

    def __init__(self, request: TxnRequest | None = None) -> None:
        self.request = request or TxnRequest()

    def when(self, *compares: Compare) -> Txn:
        return self._with(TxnRequest(compare=compares))

    def then(self, *operations: RequestOp) -> Txn:
        return self._with(TxnRequest(success=operations))

    def otherwise(self, *operations: RequestOp) -> Txn:
        return self._with(TxnRequest(failure=operations))

    def _with(self, more: TxnRequest) -> Txn:
        request = TxnRequest()
        request.CopyFrom(self.request)
        request.MergeFrom(more)
        return Txn(request)
