"""Where the API is and who we are there: from a kubeconfig file or a bare address.

Owns: reading it. Must never do: talk to the server. Only what files of `raftkv-apiserver` and of
usual clusters hold: certificates and tokens, in files or in line; no exec plugins.
"""

from __future__ import annotations

import base64
import os
import ssl
import tempfile
from pathlib import Path
from typing import Any

import yaml

from apiserver_shim.components.api_client import ApiClient


class BadKubeconfig(ValueError):
    """Says which entry is missing."""


def client_for(agent: str, *, server: str = "", kubeconfig: Path | None = None) -> ApiClient:
    """``agent``: who we say that we are, in each request's User-Agent."""
    headers = {"User-Agent": agent}
    if kubeconfig is None:
        return ApiClient(server or "http://127.0.0.1:8080", headers=headers)
    cluster, user = _current(kubeconfig)
    token = user.get("token") or (
        Path(user["tokenFile"]).read_text().strip() if "tokenFile" in user else ""
    )
    if token:
        headers["Authorization"] = f"Bearer {token}"
    address = server or cluster["server"]
    tls = _tls(cluster, user, kubeconfig.parent) if address.startswith("https://") else None
    return ApiClient(address, headers=headers, tls=tls)


def _current(path: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    try:
        config = yaml.safe_load(path.read_bytes())
        context = _named(config, "contexts", config["current-context"])["context"]
        user = _named(config, "users", context["user"])["user"] if context.get("user") else {}
        return _named(config, "clusters", context["cluster"])["cluster"], user or {}
    except (KeyError, TypeError, yaml.YAMLError) as e:
        raise BadKubeconfig(f"{path}: no usable kubeconfig: {e}") from None


def _named(config: dict[str, Any], part: str, name: str) -> dict[str, Any]:
    for each in config.get(part) or ():
        if each["name"] == name:
            found: dict[str, Any] = each
            return found
    raise KeyError(f"{part}: {name!r}")


def _tls(cluster: dict[str, Any], user: dict[str, Any], directory: Path) -> ssl.SSLContext:
    authority = _pem(cluster, "certificate-authority", directory)
    context = ssl.create_default_context(cadata=authority.decode() if authority else None)
    if cluster.get("insecure-skip-tls-verify"):
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    certificate = _pem(user, "client-certificate", directory)
    key = _pem(user, "client-key", directory)
    if certificate and key:
        # The standard library loads a key from a file only.
        file, name = tempfile.mkstemp()
        try:
            with os.fdopen(file, "wb") as both:
                both.write(certificate + b"\n" + key)
            context.load_cert_chain(name)
        finally:
            Path(name).unlink()
    return context


def _pem(entry: dict[str, Any], name: str, directory: Path) -> bytes:
    """In line or from a file, whose path is relative to the kubeconfig's."""
    if f"{name}-data" in entry:
        return base64.b64decode(entry[f"{name}-data"])
    return (directory / entry[name]).read_bytes() if name in entry else b""
