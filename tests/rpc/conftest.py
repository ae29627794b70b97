"""A fake member on a store of its own, and the KV service that speaks for it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from fake_member import FakeMember

from raftkv.rpc.kv import kv_service
from raftkv.wire.service import Service


@pytest.fixture
def member(tmp_path: Path) -> Iterator[FakeMember]:
    member = FakeMember(tmp_path / "db")
    yield member
    member.backend.close()


@pytest.fixture
def kv(member: FakeMember) -> Service:
    return kv_service(member)
