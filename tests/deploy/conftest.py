"""Certificates for the files in deploy/ that want some."""

from __future__ import annotations

from pathlib import Path

import pytest

from raftkv.tls.certificate_directory import CertificateDirectory, Lives


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory of one member, as `raftkv ctl certs create` makes it."""
    out = tmp_path_factory.mktemp("certs")
    CertificateDirectory(out).create({"m1": ["10.0.0.1"]}, [], Lives())
    return out / "members" / "m1"
