"""The access log: a line of JSON for every call, or for a share of them.

Owns: which calls get a line, and what stands in it. Must never do: wait, raise, or write: lines go
to an ``Outlet``, which takes or counts them, and has a thread of its own that writes. They are made
here, on the loop's: a second thread that wants the interpreter costs more than making them does.
Errors and slow calls always get one.

    {"ts":"2026-01-02T03:04:05.006Z","event":"call","method":"/etcdserverpb.KV/Put","user":"ann",
     "cn":"","peer":"10.0.0.7:40112","key":"/a","range_end":"","rows":1,"bytes_in":9,"bytes_out":28,
     "took_ms":0.412,"code":"OK","revision":7,"term":2,"index":9,
     "wrote":true}
"""

from __future__ import annotations

import time
from collections.abc import Callable
from json.encoder import encode_basestring_ascii as text
from typing import Protocol

from raftkv.access.keys import KeyForm, quoted
from raftkv.access.observed import Route, Sum
from raftkv.access.subject import KEYS_MAX, UNKNOWN, Answer, KeyRange, Subject, header_of
from raftkv.wire.grpc import CODE_NAMES, OK
from raftkv.wire.service import Status

HEADS_KEPT_MAX = 4_096
"""Beginnings of lines, by method and caller, that are ready made; then they begin anew."""
ERROR_CHARACTERS_MAX = 256
Who = tuple[str, str, str]
"""User, the certificate's common name and the address of a caller; "" where there is none."""


class Outlet(Protocol):
    def put(self, line: str) -> None:
        """ASCII, without its end. Never blocks."""


class Journal:
    """``wall`` is seconds since 1970; ``chance`` draws from 0 to below 1; ``index`` is that of the
    log entry being applied right now, 0 outside of one."""

    def __init__(
        self,
        outlet: Outlet,
        *,
        form: KeyForm,
        reads: float,
        writes: float,
        slow_seconds: float,
        wall: Callable[[], float],
        chance: Callable[[], float],
        index: Callable[[], int],
    ) -> None:
        self._outlet = outlet
        self._form = form
        self._reads = reads
        self._writes = writes
        self._slow_seconds = slow_seconds
        self._wall = wall
        self._chance = chance
        self._index = index
        self._now = -1
        self._now_text = ""
        self._heads: dict[tuple[Route, Who], str] = {}

    @property
    def wants_all(self) -> bool:
        return self._reads >= 1 and self._writes >= 1

    def wants(self, route: Route, code: int, seconds: float) -> bool:
        share = self._writes if route.is_write else self._reads
        return share >= 1 or code != OK or seconds >= self._slow_seconds or self._chance() < share

    def call(
        self,
        route: Route,
        who: Who,
        subject: Subject,
        request_bytes: int,
        seconds: float,
        status: Status,
        answer: Answer,
    ) -> None:
        rows = f'"rows":{subject.rows},' if subject.rows != UNKNOWN else ""
        code, place = status.code, ""
        if answer.size:
            revision, term = header_of(answer.head)
            if revision:
                place = f',"revision":{revision},"term":{term}'
                if route.is_write and (index := self._index()):
                    place += f',"index":{index}{_WROTE[subject.wrote]}'
        if code != OK:
            place += f',"error":{_error(status)}'
        head = self._heads.get((route, who)) or self._head(route, who)
        self._outlet.put(
            f'{self._time()}"event":"call",{head}{self._about(subject)}{rows}'
            f'"bytes_in":{request_bytes},"bytes_out":{answer.size},'
            f'"took_ms":{1000 * seconds:.3f},"code":"{CODE_NAMES[code]}"{place}}}'
        )

    def opened(self, route: Route, who: Who) -> None:
        self._outlet.put(f'{self._time()}"event":"open",{self._head(route, who)[:-1]}}}')

    def closed(self, route: Route, who: Who, seconds: float, status: Status, sum_: Sum) -> None:
        about = self._keys(sum_.keys, sum_.keys_in_all) if sum_.keys else ""
        error = f',"error":{_error(status)}' if status.code != OK else ""
        self._outlet.put(
            f'{self._time()}"event":"close",{self._head(route, who)}{about}'
            f'"messages_in":{sum_.messages_in},"messages_out":{sum_.messages_out},'
            f'"bytes_in":{sum_.bytes_in},"bytes_out":{sum_.bytes_out},'
            f'"took_ms":{1000 * seconds:.3f},"code":"{CODE_NAMES[status.code]}"{error}}}'
        )

    # --- parts of a line ------------------------------------------------------------------------

    def _time(self) -> str:
        """In milliseconds: most lines have that of the line before."""
        now = int(self._wall() * 1000)
        if now != self._now:
            self._now = now
            second, rest = divmod(now, 1000)
            text = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(second))
            self._now_text = f'{{"ts":"{text}.{rest:03d}Z",'
        return self._now_text

    def _head(self, route: Route, who: Who) -> str:
        """What is alike in all lines of one caller and method."""
        user, common_name, peer = (text(_shown(name)) for name in who)
        head = f'"method":"{route.path}","user":{user},"cn":{common_name},"peer":{peer},'
        if len(self._heads) >= HEADS_KEPT_MAX:
            self._heads.clear()
        self._heads[(route, who)] = head
        return head

    def _about(self, subject: Subject) -> str:
        if subject.keys:
            return self._keys(subject.keys, subject.keys_in_all)
        if subject.lease:
            return f'"lease":"{subject.lease & 0xFFFF_FFFF_FFFF_FFFF:x}",'
        if subject.compacts:
            return f'"compacts":{subject.compacts},'
        return f'"name":{text(_shown(subject.name))},' if subject.name else ""

    def _keys(self, keys: tuple[KeyRange, ...], in_all: int) -> str:
        form = self._form
        key, range_end = keys[0]
        told = f'"key":{text(form(key))},"range_end":{text(form(range_end)) if range_end else _NO},'
        if in_all > 1:
            pairs = ",".join(f"[{text(form(one))},{text(form(end))}]" for one, end in keys)
            told += f'"keys":[{pairs}],'
            if in_all > KEYS_MAX:
                told += f'"keys_in_all":{in_all},'
        return told


_NO = '""'
_WROTE = {True: ',"wrote":true', False: ',"wrote":false', None: ""}


def _shown(name: str) -> str:
    return quoted(name.encode("utf-8", "replace"))


def _error(status: Status) -> str:
    return text(status.message[:ERROR_CHARACTERS_MAX])
