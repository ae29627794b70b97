"""sd_notify: what a member tells the service manager that started it."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from raftkv.cli.systemd import READY, STOPPING, notify


@pytest.mark.parametrize("kind", ["path", "abstract"])
def test_both_kinds_of_sockets(tmp_path: Path, kind: str) -> None:
    """One datagram each, to a path or to a name in the abstract namespace."""
    place = str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.settimeout(10)
        manager.bind(place if kind == "path" else f"\0{place}")
        given = place if kind == "path" else f"@{place}"
        for state in (READY, STOPPING):
            notify(state, {"NOTIFY_SOCKET": given})
            assert manager.recv(100) == state.encode()


def test_nobody_to_tell(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Without the variable nothing happens; a socket that is not there is one line, no failure."""
    notify(READY, {})
    assert caplog.text == ""
    notify(READY, {"NOTIFY_SOCKET": str(tmp_path / "gone")})
    assert "cannot tell systemd" in caplog.text
