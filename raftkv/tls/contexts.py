"""From settings and files to OpenSSL's contexts.

Owns: what a handshake must verify and may use. Must never do: run on the event loop after the
start: it parses keys. Follows etcd's TLSInfo (client/pkg/transport): a CA or --client-cert-auth
makes client certificates mandatory; a caller verifies the server's name against the CA.
"""

from __future__ import annotations

import ssl

from raftkv.tls.ciphers import SUITES_TLS12, VERSIONS
from raftkv.tls.errors import TlsError
from raftkv.tls.settings import TlsSettings

ALPN_CLIENT_PORT = ("h2", "http/1.1")


def server_context(settings: TlsSettings, protocols: tuple[str, ...]) -> ssl.SSLContext:
    """For accepting. Raises TlsError."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    _limit(context, settings)
    _load_pair(context, settings.cert_file, settings.key_file)
    if settings.verifies_clients:
        context.verify_mode = ssl.CERT_REQUIRED
        _trust(context, settings.trusted_ca_file, ssl.Purpose.CLIENT_AUTH)
        # A resumed session would not be asked for its certificate again.
        context.options |= ssl.OP_NO_TICKET
        context.num_tickets = 0
    if protocols:
        context.set_alpn_protocols(list(protocols))
    return context


def caller_context(settings: TlsSettings) -> ssl.SSLContext:
    """For calling other members. Raises TlsError."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    _limit(context, settings)
    cert, key = settings.caller_pair
    if cert:
        _load_pair(context, cert, key)
    if settings.is_self_signed:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    else:
        _trust(context, settings.trusted_ca_file, ssl.Purpose.SERVER_AUTH)
    return context


def _limit(context: ssl.SSLContext, settings: TlsSettings) -> None:
    context.options |= ssl.OP_NO_RENEGOTIATION | ssl.OP_NO_COMPRESSION
    context.minimum_version = VERSIONS[settings.version_min or "TLS1.2"]
    if settings.version_max:
        context.maximum_version = VERSIONS[settings.version_max]
    if not settings.cipher_suites:
        return
    suites = [SUITES_TLS12[name] for name in settings.cipher_suites if name in SUITES_TLS12]
    if not suites:
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        return
    try:
        context.set_ciphers(":".join(suites))
    except ssl.SSLError:
        raise TlsError(
            f"--cipher-suites {','.join(settings.cipher_suites)}: this OpenSSL "
            f"({ssl.OPENSSL_VERSION}) has none of them"
        ) from None


def _load_pair(context: ssl.SSLContext, cert: str, key: str) -> None:
    try:
        # An empty password: a key that wants one must fail, not ask at the terminal.
        context.load_cert_chain(cert, key, password="")
    except (OSError, ValueError) as e:
        raise TlsError(f"cannot use {cert} with {key}: {_reason(e)}") from None


def _trust(context: ssl.SSLContext, path: str, purpose: ssl.Purpose) -> None:
    try:
        if path:
            context.load_verify_locations(path)
            # As in Go whatever the file holds is an anchor, an intermediate or a leaf too.
            context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
        else:
            context.load_default_certs(purpose)
    except OSError as e:
        raise TlsError(f"cannot use the CA file {path}: {_reason(e)}") from None


def _reason(error: Exception) -> str:
    if isinstance(error, ssl.SSLError):
        return (error.reason or str(error)).replace("_", " ").lower()
    return str(error)
