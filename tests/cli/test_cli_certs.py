"""`raftkv ctl certs` as a person meets it: the words, the table, the statuses."""

from __future__ import annotations

import io
import json
import re
import shlex
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from rich.console import Console

from raftkv.cli.ctl.certs import table_of_rows
from raftkv.cli.main import main
from raftkv.cli.settings import read_settings
from raftkv.tls.certificate_directory import CertificateDirectory, Lives


def certs(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["ctl", "certs", *arguments])


def test_the_flags_that_create_tells(tmp_path: Path) -> None:
    """Each member's command line is one that `raftkv serve` takes, with files that are there."""
    out = tmp_path / "certs"
    told = certs("create", "--hosts", "m1=10.0.0.1,m2=node2.example,m3=fd00::3", "--out", str(out))
    assert told.exit_code == 0, told.output
    commands = re.findall(r"^raftkv serve (.*?)\n\n", told.output, re.S | re.M)
    configs = [read_settings(shlex.split(each.replace("\\\n", " ")), {}) for each in commands]
    assert [config.name for config in configs] == ["m1", "m2", "m3"]
    assert [config.listen_peer[0].url for config in configs] == [
        "https://10.0.0.1:2380", "https://0.0.0.0:2380", "https://[fd00::3]:2380",
    ]  # fmt: skip
    for config in configs:
        config.validate()
        assert config.client_tls.client_cert_auth
        assert config.peer_tls.client_cert_auth
    assert f"--key {out}/clients/root/client-key.pem" in told.output
    later = certs("create", "--hosts", "m4=10.0.0.4", "--out", str(out))
    assert later.exit_code == 0, later.output
    assert "clients/root" not in later.output


@pytest.mark.parametrize(
    ("arguments", "status", "told"),
    [
        (("create", "--hosts", "m1"), 2, "name=host is expected"),
        (("create", "--hosts", "m1=http://h"), 2, "name=host is expected"),
        (("create", "--hosts", ""), 2, "at least one"),
        (("renew", "--out", "nowhere"), 1, "is no directory"),
        (("rotate-ca", "start", "--out", "nowhere"), 1, "is no directory"),
        (("rotate-ca", "begin"), 1, "'begin' is not one of 'start', 'issue', 'finish'"),
    ],
)
def test_mistakes(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: tuple[str, ...],
    status: int,
    told: str,
) -> None:
    """One line and a status; nothing is made."""
    monkeypatch.chdir(tmp_path)
    result = certs(*arguments)
    assert (result.exit_code, told in result.output) == (status, True), result.output
    assert list(tmp_path.iterdir()) == []


def test_show(tmp_path: Path) -> None:
    """Names, issuer and days that are left, as a table and as JSON; what ends soon is red."""
    made = CertificateDirectory(tmp_path, lambda: datetime.now(UTC))
    made.create({"m1": ["10.0.0.1"]}, ["alice"], Lives(leaf=timedelta(days=20)))
    rows = {
        Path(row["file"]).name: row
        for row in json.loads(certs("show", str(tmp_path), "-w", "json").output)
    }
    assert rows["server.pem"]["names"] == "localhost, 10.0.0.1, 127.0.0.1, ::1"
    assert rows["client.pem"]["subject"] == "alice"
    assert rows["client.pem"]["issuer"] == rows["ca.pem"]["subject"]
    assert [rows[name]["days_left"] for name in ("peer.pem", "peer-ca.pem")] == [19, 3649]
    table = certs("show", str(tmp_path / "members" / "m1" / "server.pem"))
    assert re.search(r"\| m1 +\|.*10\.0\.0\.1.*\| 19 ", table.output)
    seen = Console(width=400, force_terminal=True, color_system="standard", file=io.StringIO())
    seen.print(table_of_rows(list(rows.values()), soon=30))
    assert isinstance(seen.file, io.StringIO)
    red = [line for line in seen.file.getvalue().splitlines() if "\x1b[31m" in line]
    assert len(red) == 3
    assert all(any(name in line for name in ("server", "peer", "client")) for line in red)
