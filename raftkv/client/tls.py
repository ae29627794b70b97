"""TLS of a client: whom it trusts, and who it says it is.

Owns: Tls, and the credentials and channel options that follow from it. Must never do: block the
event loop: files are read when a client is made, and a server is asked for its certificate in a
thread.
"""

from __future__ import annotations

import socket
import ssl
from dataclasses import dataclass
from pathlib import Path

import grpc
from cryptography import x509
from cryptography.x509.oid import NameOID

ASK_TIMEOUT_S = 5.0


@dataclass(frozen=True, slots=True)
class Tls:
    """Paths of PEM files, "" for none. Without ``ca`` the system's authorities are trusted; with
    ``insecure_skip_verify`` whoever answers when the client is opened is, until it is closed.
    ``server_name`` is what the server's certificate must be for, instead of the endpoint's host."""

    ca: str = ""
    cert: str = ""
    key: str = ""
    server_name: str = ""
    insecure_skip_verify: bool = False

    def __post_init__(self) -> None:
        if bool(self.cert) != bool(self.key):
            raise ValueError("a client certificate needs its key, and the key its certificate")

    def credentials(self, trusted: bytes = b"") -> grpc.ChannelCredentials:
        """``trusted`` stands in for ``ca``. Raises OSError for a file that cannot be read."""
        roots = trusted or _bytes(self.ca or _system_roots())
        return grpc.ssl_channel_credentials(
            roots or None, _bytes(self.key) or None, _bytes(self.cert) or None
        )

    def shown_by(self, address: tuple[str, int] | str) -> tuple[bytes, str]:
        """(PEM, a name that it is for) of the certificate at ``address``, which is host and port or
        a unix socket's path. Blocks. Raises OSError."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        if self.cert:
            context.load_cert_chain(self.cert, self.key)
        with _connected(address) as plain, context.wrap_socket(plain) as secured:
            der = secured.getpeercert(binary_form=True)
        if der is None:
            raise ConnectionError(f"{address} shows no certificate")
        return ssl.DER_cert_to_PEM_cert(der).encode(), _name_in(x509.load_der_x509_certificate(der))


def _connected(address: tuple[str, int] | str) -> socket.socket:
    if isinstance(address, tuple):
        return socket.create_connection(address, timeout=ASK_TIMEOUT_S)
    plain = socket.socket(socket.AF_UNIX)
    plain.settimeout(ASK_TIMEOUT_S)
    try:
        plain.connect(address)
    except OSError:
        plain.close()
        raise
    return plain


def _name_in(certificate: x509.Certificate) -> str:
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        common = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
        return str(common[-1].value) if common else ""
    found = names.get_values_for_type(x509.DNSName)
    found += [str(address) for address in names.get_values_for_type(x509.IPAddress)]
    return found[0].replace("*", "any", 1) if found else ""


def _system_roots() -> str:
    return ssl.get_default_verify_paths().cafile or ""


def _bytes(path: str) -> bytes:
    return Path(path).read_bytes() if path else b""
