"""Kubeconfig files: where the API is, whom to believe, and who one is.

Owns: their text. Must never do: refer to files: certificates and keys are in it, so that it can be
copied to where it is used. Format: v1 Config of client-go.
"""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import yaml

from apiserver_shim.security.certificates import Pair, write_secret

CLUSTER = "raftkv"


def write_kubeconfig(path: Path, server: str, authority: Path, user: str, pair: Pair) -> None:
    """For the user whose certificate ``pair`` is; readable by the owner alone."""
    credentials = {
        "client-certificate-data": _data(pair.certificate),
        "client-key-data": _data(pair.key),
    }
    cluster = {"server": server, "certificate-authority-data": _data(authority)}
    write_secret(path, yaml.safe_dump(_config(cluster, user, credentials)).encode())


def _config(cluster: dict[str, str], user: str, credentials: dict[str, str]) -> dict[str, Any]:
    context = f"{user}@{CLUSTER}"
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": CLUSTER, "cluster": cluster}],
        "users": [{"name": user, "user": credentials}],
        "contexts": [{"name": context, "context": {"cluster": CLUSTER, "user": user}}],
        "current-context": context,
        "preferences": {},
    }


def _data(path: Path) -> str:
    return base64.b64encode(path.read_bytes()).decode()
