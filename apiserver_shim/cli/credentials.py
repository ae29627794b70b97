"""From the options to what listens and believes: certificates, keys, tokens.

Owns: which files are read and which are generated. Must never do: run on the event loop: all of it
happens before there is one.
"""

from __future__ import annotations

import socket
import ssl
from dataclasses import dataclass
from pathlib import Path

from apiserver_shim.bootstrap.objects import service_address
from apiserver_shim.cli.options import Options, is_wildcard
from apiserver_shim.security.authentication import StaticTokens
from apiserver_shim.security.bundle import SecuritySettings
from apiserver_shim.security.certificates import Certificates, Pair
from apiserver_shim.security.identities import (
    COMPONENTS,
    KUBELET_CLIENT,
    issue,
    node_identity,
    write_identity,
)
from apiserver_shim.security.service_accounts import TokenKeys

SERVICE_NAMES = (
    "kubernetes",
    "kubernetes.default",
    "kubernetes.default.svc",
    "kubernetes.default.svc.cluster.local",
)


@dataclass(frozen=True, slots=True)
class Credentials:
    """``client_ca`` is PEM. ``admin``: the path of admin.conf, where one was made."""

    tls: ssl.SSLContext
    kubelet_tls: ssl.SSLContext | None
    client_ca: str
    admin: Path | None


def security_settings(options: Options) -> SecuritySettings:
    """Raises ValueError and OSError for files that are not what they should be."""
    signing = options.service_account_signing_key_file
    if signing is None:
        signing = Certificates(options.cert_dir).account_key()
    keys = TokenKeys.load(
        signing.read_bytes(),
        [path.read_bytes() for path in options.service_account_key_file],
        options.service_account_issuer,
    )
    tokens = StaticTokens()
    if options.token_auth_file is not None:
        try:
            tokens = StaticTokens(options.token_auth_file.read_text())
        except ValueError as e:
            raise ValueError(f"{options.token_auth_file}: {e}") from None
    return SecuritySettings(
        keys, tokens, options.anonymous_auth, options.authorization_mode == "AlwaysAllow"
    )


def credentials(options: Options) -> Credentials:
    """What a listener under TLS needs; what is not given is generated in --cert-dir."""
    certificates = Certificates(options.cert_dir)
    client_ca = options.client_ca_file or certificates.authority().certificate
    if options.tls_cert_file is not None and options.tls_private_key_file is not None:
        serving = Pair(options.tls_cert_file, options.tls_private_key_file)
    else:
        serving = certificates.serving(serving_names(options))
    admin = None
    if options.tls_cert_file is None and options.client_ca_file is None:
        server = f"https://{_bracketed(options.advertised)}:{options.secure_port}"
        for identity in (*COMPONENTS, node_identity(_node_name(options))):
            write_identity(certificates, identity, server)
        admin = certificates.directory / "admin.conf"
    return Credentials(
        server_context(serving, client_ca),
        _kubelet_context(options, certificates) if options.kubelet_https else None,
        client_ca.read_text(),
        admin,
    )


def serving_names(options: Options) -> list[str]:
    own = [each for each in (options.bind_address, options.advertised) if not is_wildcard(each)]
    service = service_address(options.service_cluster_ip_range)
    names = [*own, "127.0.0.1", "localhost", socket.gethostname(), *SERVICE_NAMES, service]
    return list(dict.fromkeys(names))


def server_context(serving: Pair, client_ca: Path) -> ssl.SSLContext:
    """TLS 1.2 at least. A client may show a certificate; one that nobody vouches for ends the
    handshake."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(serving.certificate, serving.key)
    context.load_verify_locations(client_ca)
    context.verify_mode = ssl.CERT_OPTIONAL
    context.set_alpn_protocols(["http/1.1"])
    return context


def _kubelet_context(options: Options, certificates: Certificates) -> ssl.SSLContext:
    authority = options.kubelet_certificate_authority or certificates.authority().certificate
    context = ssl.create_default_context(cafile=authority)
    pair = issue(certificates, KUBELET_CLIENT)
    context.load_cert_chain(pair.certificate, pair.key)
    return context


def _node_name(options: Options) -> str:
    return options.node_name or socket.gethostname().lower()


def _bracketed(address: str) -> str:
    return f"[{address}]" if ":" in address else address
