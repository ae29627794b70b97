"""etcd's TLS flags, of both ports.

Owns: those flags. Must never do: read a file; ``tls_settings`` turns their values into settings.
"""

from __future__ import annotations

from raftkv.cli.flag import Flag, parse_bool, parse_int, parse_names


def _tls_flags(prefix: str, port: str) -> tuple[Flag, ...]:
    """One port's TLS flags; the same ones begin with peer- on the peer port."""
    crl = "peer-crl-file" if prefix else "client-crl-file"
    hostname = "peer-cert-allowed-hostname" if prefix else "client-cert-allowed-hostname"
    return (
        Flag(f"{prefix}cert-file", "", str, f"the {port} port's certificate, PEM"),
        Flag(f"{prefix}key-file", "", str, f"the {port} port's private key, PEM"),
        Flag(f"{prefix}client-cert-file", "", str, "certificate for calls that this member makes"),
        Flag(f"{prefix}client-key-file", "", str, "the private key of the former"),
        Flag(
            f"{prefix}trusted-ca-file", "", str, "the CA of client certificates; makes them needed"
        ),
        Flag(f"{prefix}client-cert-auth", "false", parse_bool, "need client certificates", True),
        Flag(crl, "", str, "revocation list of client certificates, PEM or DER"),
        Flag(hostname, "", parse_names, "host names, one of which a certificate must be for"),
        Flag(f"{prefix}auto-tls", "false", parse_bool, "TLS with a self-signed certificate", True),
    )


TLS_FLAGS: tuple[Flag, ...] = (
    *_tls_flags("", "client"),
    *_tls_flags("peer-", "peer"),
    Flag("peer-cert-allowed-cn", "", parse_names, "CNs, one of which a peer must have"),
    Flag(
        "peer-skip-client-san-verification",
        "false",
        parse_bool,
        "do not compare a peer's address with its certificate",
        True,
    ),
    Flag("self-signed-cert-validity", "1", parse_int, "years, of the certificates of auto-tls"),
    Flag("cipher-suites", "", parse_names, "suites for TLS 1.2, by Go's names, comma-separated"),
    Flag("tls-min-version", "TLS1.2", str, "TLS1.2 or TLS1.3"),
    Flag("tls-max-version", "", str, "TLS1.2 or TLS1.3; none by default"),
)
