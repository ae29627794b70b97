"""The options of `raftkv-apiserver`, by kube-apiserver's names where it has them.

Owns: their names, texts, and what goes with what. Must never do: read files.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import click

from apiserver_shim.bootstrap.objects import SERVICE_CIDR, service_address
from apiserver_shim.http.gate import REQUEST_S_MAX
from apiserver_shim.http.in_flight import MUTATING_MAX, READING_MAX
from apiserver_shim.security.service_accounts import DEFAULT_ISSUER
from raftkv.client import Tls

SECURE_PORT = 6443
MODES = ("RBAC", "Node,RBAC", "AlwaysAllow")
FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


@dataclass(frozen=True, slots=True)
class Options:
    """``secure_port`` is 0 where only the insecure one is wanted."""

    etcd_servers: str
    etcd_cafile: Path | None
    etcd_certfile: Path | None
    etcd_keyfile: Path | None
    bind_address: str
    secure_port: int
    advertise_address: str
    insecure_port: int
    insecure_bind_address: str
    cert_dir: Path
    tls_cert_file: Path | None
    tls_private_key_file: Path | None
    client_ca_file: Path | None
    token_auth_file: Path | None
    service_account_key_file: tuple[Path, ...]
    service_account_signing_key_file: Path | None
    service_account_issuer: str
    authorization_mode: str
    anonymous_auth: bool
    service_cluster_ip_range: str
    kubelet_https: bool
    kubelet_certificate_authority: Path | None
    node_name: str
    max_requests_inflight: int
    max_mutating_requests_inflight: int
    request_timeout: float
    audit_log_path: Path | None

    @property
    def endpoints(self) -> list[str]:
        return [each.strip() for each in self.etcd_servers.split(",")]

    @property
    def store_tls(self) -> Tls | None:
        """None where nothing is said of it: then an endpoint's scheme alone decides."""
        ca, cert, key = (
            str(file) if file else ""
            for file in (self.etcd_cafile, self.etcd_certfile, self.etcd_keyfile)
        )
        return Tls(ca, cert, key) if ca or cert else None

    @property
    def advertised(self) -> str:
        """Where others reach this shim."""
        if self.advertise_address:
            return self.advertise_address
        return "127.0.0.1" if is_wildcard(self.bind_address) else self.bind_address

    def check(self) -> None:
        """Raises UsageError for what does not go together."""
        if not is_loopback(self.insecure_bind_address):
            raise click.UsageError(
                f"--insecure-bind-address {self.insecure_bind_address}: who reaches the insecure "
                "port may do everything; it is for loopback only"
            )
        if (self.tls_cert_file is None) != (self.tls_private_key_file is None):
            raise click.UsageError("--tls-cert-file and --tls-private-key-file go together")
        if (self.etcd_certfile is None) != (self.etcd_keyfile is None):
            raise click.UsageError("--etcd-certfile and --etcd-keyfile go together")
        if self.authorization_mode == "AlwaysAllow" and self.anonymous_auth:
            raise click.UsageError(
                "--authorization-mode AlwaysAllow with anonymous users lets everybody do "
                "everything: add --no-anonymous-auth"
            )
        try:
            service_address(self.service_cluster_ip_range)
        except ValueError as e:
            raise click.UsageError(f"--service-cluster-ip-range: {e}") from None


def is_loopback(address: str) -> bool:
    return address == "localhost" or ip_address(address).is_loopback


def is_wildcard(address: str) -> bool:
    return address in ("0.0.0.0", "::")


def parse(given: dict[str, Any]) -> Options:
    """``secure_port`` None: 6443, unless only the insecure port was asked for."""
    if given["secure_port"] is None:
        given["secure_port"] = 0 if given["insecure_port"] else SECURE_PORT
    options = Options(**given)
    options.check()
    return options


_OPTIONS = (
    click.option("--etcd-servers", default="http://127.0.0.1:2379", show_default=True),
    click.option("--etcd-cafile", type=FILE),
    click.option("--etcd-certfile", type=FILE),
    click.option("--etcd-keyfile", type=FILE),
    click.option("--bind-address", default="127.0.0.1", show_default=True),
    click.option(
        "--secure-port",
        type=click.IntRange(0, 65535),
        help=f"HTTPS. 0: none. Default: {SECURE_PORT}, or 0 with --insecure-port.",
    ),
    click.option("--advertise-address", default="", help="Where others reach this server."),
    click.option(
        "--insecure-port",
        type=click.IntRange(0, 65535),
        default=0,
        help="HTTP, no questions asked: whoever reaches it is admin. 0: none (the default).",
    ),
    click.option("--insecure-bind-address", default="127.0.0.1", show_default=True),
    click.option(
        "--cert-dir",
        type=click.Path(file_okay=False, path_type=Path),
        default=Path("apiserver.local.config"),
        show_default=True,
        help="Generated certificates, keys and kubeconfigs. Shims of one cluster share it.",
    ),
    click.option("--tls-cert-file", type=FILE, help="Instead of a generated one."),
    click.option("--tls-private-key-file", type=FILE),
    click.option("--client-ca-file", type=FILE, help="Who vouches for client certificates."),
    click.option("--token-auth-file", type=FILE, help='Lines of token,user,uid,"group1,group2".'),
    click.option(
        "--service-account-key-file", type=FILE, multiple=True, help="Keys to believe, too."
    ),
    click.option("--service-account-signing-key-file", type=FILE, help="RSA or EC, PEM."),
    click.option("--service-account-issuer", default=DEFAULT_ISSUER, show_default=True),
    click.option(
        "--authorization-mode",
        type=click.Choice(MODES),
        default="Node,RBAC",
        show_default=True,
        help="RBAC is Node,RBAC.",
    ),
    click.option("--anonymous-auth/--no-anonymous-auth", default=True, show_default=True),
    click.option("--service-cluster-ip-range", default=SERVICE_CIDR, show_default=True),
    click.option("--kubelet-https/--no-kubelet-https", default=True, show_default=True),
    click.option("--kubelet-certificate-authority", type=FILE, help="Default: the own one."),
    click.option("--node-name", default="", help="Of kubelet.conf. Default: the host's name."),
    click.option(
        "--max-requests-inflight", type=click.IntRange(0), default=READING_MAX, show_default=True
    ),
    click.option(
        "--max-mutating-requests-inflight",
        type=click.IntRange(0),
        default=MUTATING_MAX,
        show_default=True,
    ),
    click.option(
        "--request-timeout",
        type=click.FloatRange(0.001),
        default=REQUEST_S_MAX,
        show_default=True,
        help="Seconds.",
    ),
    click.option("--audit-log-path", type=click.Path(dir_okay=False, path_type=Path)),
)


def with_options(command: Callable[..., None]) -> Callable[..., None]:
    for option in reversed(_OPTIONS):
        command = option(command)
    return command
