"""The systemd unit, as systemd itself reads it."""

from __future__ import annotations

import configparser
import re
import subprocess
import sys
from pathlib import Path

import pytest

from raftkv.cli.flags import flag_named
from tests.deploy.command_lines import DEPLOY, taken

UNIT = DEPLOY / "systemd" / "raftkv.service"
EXPOSURE_MAX = 1.5
"""Of 10, by systemd's own measure; what a service without any hardening has is 9.6."""


@pytest.fixture
def installed(tmp_path: Path) -> Path:
    """The unit on a machine that has the program."""
    text = UNIT.read_text()
    assert text.count("/usr/local/bin/raftkv ") == 1
    unit = tmp_path / "raftkv.service"
    unit.write_text(text.replace("/usr/local/bin/raftkv ", f"{sys.executable} "))
    return unit


def analyzed(*arguments: str) -> str:
    done = subprocess.run(
        ["systemd-analyze", *arguments], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done
    return done.stdout + done.stderr


def test_systemd_takes_every_line(installed: Path) -> None:
    """No unknown section, key or value; a misspelt one is told, so that this can fail."""
    assert analyzed("verify", "--man=no", str(installed)) == ""
    installed.write_text(installed.read_text().replace("ProtectHome=", "ProtectHomes="))
    assert "ProtectHomes" in analyzed("verify", "--man=no", str(installed))


def test_how_exposed_it_is(installed: Path) -> None:
    """By systemd's own measure, within what docs/deploy.md says."""
    told = analyzed("security", "--offline=yes", "--no-pager", str(installed))
    (exposure,) = re.findall(r"Overall exposure level for \S+: (\S+)", told)
    assert float(exposure) <= EXPOSURE_MAX, told
    assert f"{float(exposure):g} of 10" in (DEPLOY.parent / "docs" / "deploy.md").read_text()


def test_what_it_starts(certificates: Path) -> None:
    """The member of raftkv.env, with TLS on both ports: all its variables are settings, and its
    data is where the unit lets it write."""
    unit = configparser.ConfigParser(strict=False, interpolation=None)
    unit.optionxform = str  # type: ignore[assignment,method-assign]
    unit.read(UNIT)
    service = unit["Service"]
    environment = dict(
        line.split("=", 1)
        for line in (DEPLOY / "systemd" / "raftkv.env").read_text().splitlines()
        if line and not line.startswith("#")
    )
    for name in environment:
        flag = name.removeprefix("ETCD_").lower().replace("_", "-")
        assert flag_named(flag) is not None, name
    program, *arguments = service["ExecStart"].split()
    assert Path(program).name == "raftkv"
    config = taken(arguments, environment, certificates)
    assert config.name == "m1"
    assert config.peer_tls.client_cert_auth
    assert config.client_tls.client_cert_auth
    assert config.data_dir.startswith(f"/var/lib/{service['StateDirectory']}/")
    assert service["Type"] == "notify"


def test_its_user() -> None:
    """systemd-sysusers makes the user that the unit runs as."""
    lines = (DEPLOY / "systemd" / "raftkv.sysusers.conf").read_text().splitlines()
    (line,) = (line for line in lines if not line.startswith("#"))
    assert line.split()[:2] == ["u", "raftkv"]
    assert "User=raftkv\n" in UNIT.read_text()
