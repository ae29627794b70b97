"""The command line that starts one member of a cluster over TLS.

Owns: which flags it takes. Must never do: run it, or name a flag that ``flags`` does not know.
"""

from __future__ import annotations

import ipaddress
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path

CLIENT_PORT = 2379
PEER_PORT = 2380


def serve_command(name: str, members: Mapping[str, Sequence[str]], certificates: Path) -> str:
    """For ``name`` of ``members`` (hosts by name), with the files that `certs create` makes."""
    host = members[name][0]
    cluster = ",".join(f"{each}={_url(hosts[0], PEER_PORT)}" for each, hosts in members.items())
    listen = host if _is_address(host) else "0.0.0.0"
    flags = [
        ("name", name),
        ("data-dir", f"/var/lib/raftkv/{name}"),
        ("listen-client-urls", _url(listen, CLIENT_PORT)),
        ("advertise-client-urls", _url(host, CLIENT_PORT)),
        ("listen-peer-urls", _url(listen, PEER_PORT)),
        ("initial-advertise-peer-urls", _url(host, PEER_PORT)),
        ("initial-cluster", cluster),
        *tls_flags(certificates),
    ]
    lines = [f"--{flag}" + (f" {shlex.quote(value)}" if value else "") for flag, value in flags]
    return " \\\n    ".join(["raftkv serve", *lines])


def tls_flags(certificates: Path) -> list[tuple[str, str]]:
    """(flag, value) for both ports; "" for a flag that needs none."""
    pairs: list[tuple[str, str]] = []
    for prefix, pair, authority in (("", "server", "ca"), ("peer-", "peer", "peer-ca")):
        pairs += [
            (f"{prefix}cert-file", f"{certificates}/{pair}.pem"),
            (f"{prefix}key-file", f"{certificates}/{pair}-key.pem"),
            (f"{prefix}trusted-ca-file", f"{certificates}/{authority}.pem"),
            (f"{prefix}client-cert-auth", ""),
        ]
    return pairs


def _url(host: str, port: int) -> str:
    return f"https://[{host}]:{port}" if ":" in host else f"https://{host}:{port}"


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
