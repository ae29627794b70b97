"""Hashes for other members, who compare them with their own.

Owns: the question, the answer, and the one hash that is made for peers at a time. Must never do:
make two: whoever asks meanwhile hears nothing, and asks again. Two members may have compacted
differently far, so a hash is asked for as if compacted at least at the asker's revision, and an
answer says for what it holds: of the revision asked, or the newest one here if that is older.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from raftkv.errors import RaftKVError
from raftkv.mvcc.hash import HashResult
from raftkv.mvcc.store import Store
from raftkv.server.hashing import Hashing

_QUESTION = struct.Struct(">qq")
_ANSWER = struct.Struct(">qqI")


@dataclass(frozen=True, slots=True)
class HashQuestion:
    revision: int
    compact_revision: int

    def encode(self) -> bytes:
        return _QUESTION.pack(self.revision, self.compact_revision)

    @staticmethod
    def decode(data: bytes) -> HashQuestion | None:
        """None for what is no question."""
        return HashQuestion(*_QUESTION.unpack(data)) if len(data) == _QUESTION.size else None


def encode_answer(result: HashResult) -> bytes:
    return _ANSWER.pack(result.hash_revision, result.compact_revision, result.hash)


def decode_answer(data: bytes) -> HashResult | None:
    """None for what is no answer."""
    if len(data) != _ANSWER.size:
        return None
    revision, compact_revision, crc = _ANSWER.unpack(data)
    return HashResult(crc, compact_revision, revision)


class PeerHashes:
    """``look`` is cheap; the hash itself is made in steps beside traffic."""

    def __init__(self, store: Store, hashing: Hashing) -> None:
        self._store = store
        self._hashing = hashing
        self._in_work: HashQuestion | None = None
        self._asked = HashQuestion(0, 0)
        self._made: HashResult | None = None

    def look(self, question: HashQuestion) -> HashResult | None:
        """The answer, or None: ask again. Compacted away is no answer either."""
        made, store = self._made, self._store
        if made is not None and question == self._asked and self._is_current(made, question):
            return made
        if self._in_work is None:
            revision = min(question.revision, store.current_revision)
            compacted = max(question.compact_revision, store.compact_revision)
            if compacted <= revision:
                self._make(question, HashQuestion(revision, compacted))
        return None

    def _is_current(self, made: HashResult, question: HashQuestion) -> bool:
        """An answer for an older revision than asked is given until there is a newer one."""
        newest = min(question.revision, self._store.current_revision)
        return made.hash_revision == newest

    def _make(self, asked: HashQuestion, question: HashQuestion) -> None:
        self._in_work = question

        def done(outcome: HashResult | RaftKVError) -> None:
            self._in_work = None
            self._asked = asked
            self._made = outcome if isinstance(outcome, HashResult) else None

        try:
            self._hashing.hash_kv(question.revision, done, question.compact_revision)
        except RaftKVError as error:  # too many wait, or it was compacted: the asker asks again
            done(error)
