"""What a verified certificate must also say: not revoked, an allowed name, the caller's address.

Owns: the checks that come after OpenSSL's. Must never do: verify a connection's signatures: OpenSSL
has.
Follows etcd: serial numbers in the revocation list, one allowed CN or host name, and on the peer
port the addresses in the caller's certificate (checkCertSAN).
"""

from __future__ import annotations

import _ssl
import asyncio
import ipaddress
import socket
import ssl
from collections.abc import Sequence

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.x509.oid import NameOID

from raftkv.tls.settings import TlsSettings

LOOKUP_SECONDS_MAX = 2.0
NAMES_LOOKED_UP_MAX = 16
"""Names of one certificate for which DNS is asked whether they are the caller's."""


def common_name(certificate: x509.Certificate) -> str:
    """The subject's; "" when there is none. Of several the last, as Go has it."""
    names = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    return str(names[-1].value) if names else ""


def peer_common_name(transport: asyncio.BaseTransport) -> str:
    """Of the certificate that the other side has shown; "" when it had to show none."""
    ssl_object = transport.get_extra_info("ssl_object")
    chain = verified_chain(ssl_object) if ssl_object is not None else []
    return common_name(chain[0]) if chain else ""


def is_issued_by(certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
    """Whether the issuer's name and key have signed it."""
    try:
        certificate.verify_directly_issued_by(issuer)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True


def verified_chain(ssl_object: ssl.SSLObject) -> list[x509.Certificate]:
    """The other side's certificates, its own first; empty when none was asked for."""
    leaf = ssl_object.getpeercert(binary_form=True)
    if leaf is None or ssl_object.context.verify_mode is ssl.CERT_NONE:
        return []
    chain = _chain(ssl_object) or [leaf]
    return [x509.load_der_x509_certificate(der) for der in chain]


def _chain(ssl_object: ssl.SSLObject) -> list[bytes]:
    """Public since Python 3.13; below, the C object has it."""
    public = getattr(ssl_object, "get_verified_chain", None)
    if public is not None:
        return [bytes(der) for der in public()]
    inner = ssl_object._sslobj.get_verified_chain() or []  # type: ignore[attr-defined]
    return [bytes(each.public_bytes(_ssl.ENCODING_DER)) for each in inner]


def objection(
    settings: TlsSettings, chain: Sequence[x509.Certificate], revoked: frozenset[int]
) -> str:
    """Why the other side's certificates will not do; "" when they will."""
    for certificate in chain:
        if certificate.serial_number in revoked:
            return f"certificate serial {certificate.serial_number:x} revoked"
    if not chain:
        return ""
    if settings.allowed_names and common_name(chain[0]) not in settings.allowed_names:
        return f"its CN {common_name(chain[0])!r} is not allowed"
    hosts = settings.allowed_hostnames
    if hosts and not any(covers_host(chain[0], host) for host in hosts):
        return f"its certificate is for none of {', '.join(hosts)}"
    return ""


async def address_objection(certificate: x509.Certificate, address: str) -> str:
    """Whether the certificate is for the IP that it came from; "" when it names none at all."""
    dns, ips = alternative_names(certificate)
    if not dns and not ips:
        return ""
    if ipaddress.ip_address(address) in ips:
        return ""
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(LOOKUP_SECONDS_MAX):
            for name in dns[:NAMES_LOOKED_UP_MAX]:
                if await _is_name_of(loop, name, address):
                    return ""
    except TimeoutError:
        return f"DNS did not say in {LOOKUP_SECONDS_MAX:g} s whether {address} has one of {dns}"
    named = ", ".join([*map(str, ips), *dns])
    return f"{address} is none of the addresses that its certificate is for ({named})"


def alternative_names(
    certificate: x509.Certificate,
) -> tuple[list[str], list[ipaddress.IPv4Address | ipaddress.IPv6Address]]:
    """(DNS names, IP addresses)"""
    try:
        extension = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    except x509.ExtensionNotFound:
        return [], []
    found = extension.value
    ips = [
        ip
        for ip in found.get_values_for_type(x509.IPAddress)
        if isinstance(ip, ipaddress.IPv4Address | ipaddress.IPv6Address)
    ]
    return found.get_values_for_type(x509.DNSName), ips


def covers_host(certificate: x509.Certificate, host: str) -> bool:
    dns, ips = alternative_names(certificate)
    try:
        return ipaddress.ip_address(host) in ips
    except ValueError:
        return any(_matches(name, host) for name in dns)


def _matches(pattern: str, host: str) -> bool:
    """A star stands for the whole first label."""
    pattern, host = pattern.lower().rstrip("."), host.lower().rstrip(".")
    if not pattern.startswith("*."):
        return pattern == host
    _, dot, rest = host.partition(".")
    return bool(dot) and rest == pattern[2:]


async def _is_name_of(loop: asyncio.AbstractEventLoop, name: str, address: str) -> bool:
    try:
        if name.startswith("*."):
            host, _ = await loop.getnameinfo((address, 0), socket.NI_NAMEREQD)
            return _matches(name, host)
        rows = await loop.getaddrinfo(name, None, type=socket.SOCK_STREAM)
    except OSError:
        return False  # a name that is not known is not the caller's
    return any(row[4][0] == address for row in rows)
