"""What one port is told of TLS: the counterpart of etcd's TLSInfo.

Owns: TlsSettings and what follows from the settings alone. Must never do: read a file.
"""

from __future__ import annotations

from dataclasses import dataclass

from raftkv.tls.ciphers import check_suites, check_versions
from raftkv.tls.errors import TlsError


@dataclass(frozen=True, slots=True)
class TlsSettings:
    """Paths are as given in the flags; "" is none. ``prefix`` begins the flags' names: "" for the
    client port and "peer-" for the peer port."""

    prefix: str = ""
    cert_file: str = ""
    key_file: str = ""
    client_cert_file: str = ""
    client_key_file: str = ""
    """For calls that this member makes; the server's own pair when not given."""
    trusted_ca_file: str = ""
    client_cert_auth: bool = False
    crl_file: str = ""
    allowed_names: tuple[str, ...] = ()
    """Common names, one of which a certificate of the other side must have."""
    allowed_hostnames: tuple[str, ...] = ()
    """The same of host names: in the certificate's alternative names."""
    skip_client_san: bool = False
    checks_client_address: bool = False
    """Whether names in a client's certificate must fit the address that it calls from."""
    cipher_suites: tuple[str, ...] = ()
    version_min: str = "TLS1.2"
    version_max: str = ""
    auto: bool = False
    self_signed_years: int = 1
    is_self_signed: bool = False
    """The pair was made by this member: nobody can verify it, so calls between members do not."""

    @property
    def has_pair(self) -> bool:
        return bool(self.cert_file and self.key_file)

    @property
    def verifies_clients(self) -> bool:
        """A CA alone makes client certificates mandatory, as in etcd."""
        return bool(self.trusted_ca_file) or self.client_cert_auth

    @property
    def caller_pair(self) -> tuple[str, str]:
        """(certificate, key) that this member shows when it calls others; ("", "") for none."""
        if self.client_cert_file:
            return self.client_cert_file, self.client_key_file
        return self.cert_file, self.key_file

    def flag(self, name: str) -> str:
        """The flag's name on this port: peer-cert-file for cert-file."""
        if name == "crl-file" and not self.prefix:
            name = "client-crl-file"
        return f"--{self.prefix}{name}"

    def validate(self) -> None:
        """Raises TlsError for what contradicts itself."""
        check_suites(self.cipher_suites)
        check_versions(self.version_min, self.version_max)
        if self.cipher_suites and self.version_min == "TLS1.3":
            raise TlsError("--cipher-suites cannot be configured when only TLS1.3 is enabled")
        for cert, key in (("cert-file", "key-file"), ("client-cert-file", "client-key-file")):
            self._check_both(cert, key)
        if self.allowed_names and self.allowed_hostnames:
            raise TlsError(
                f"{self.flag('cert-allowed-cn')} and {self.flag('cert-allowed-hostname')} are "
                f"mutually exclusive (cn={','.join(self.allowed_names)}, "
                f"hostname={','.join(self.allowed_hostnames)})"
            )
        if (self.allowed_names or self.allowed_hostnames) and not self.verifies_clients:
            raise TlsError(
                f"allowed names bind nobody while no client certificate is asked for: give "
                f"{self.flag('trusted-ca-file')} or {self.flag('client-cert-auth')} too"
            )
        if self.self_signed_years <= 0:
            raise TlsError(
                f"--self-signed-cert-validity must be above 0 years, got {self.self_signed_years}"
            )

    def _check_both(self, cert: str, key: str) -> None:
        values = {name: getattr(self, name.replace("-", "_")) for name in (cert, key)}
        if bool(values[cert]) != bool(values[key]):
            given, missing = (cert, key) if values[cert] else (key, cert)
            raise TlsError(
                f"{self.flag(given)} and {self.flag(missing)} must both be present: "
                f"{self.flag(given)} is {values[given]}, {self.flag(missing)} is not given"
            )


NO_CLIENT_TLS = TlsSettings()
NO_PEER_TLS = TlsSettings(prefix="peer-", checks_client_address=True)
