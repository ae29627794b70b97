"""etcd's names of cipher suites and versions, and what OpenSSL calls them.

Owns: both tables and the checks of the flags. Must never do: make a context. As in Go, suites of
TLS 1.3 are accepted in the list and cannot be chosen among: they are all on.
"""

from __future__ import annotations

import ssl

from raftkv.tls.errors import TlsError

VERSIONS = {"TLS1.2": ssl.TLSVersion.TLSv1_2, "TLS1.3": ssl.TLSVersion.TLSv1_3}

SUITES_TLS12 = {
    "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256": "ECDHE-ECDSA-AES128-GCM-SHA256",
    "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256": "ECDHE-RSA-AES128-GCM-SHA256",
    "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384": "ECDHE-ECDSA-AES256-GCM-SHA384",
    "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384": "ECDHE-RSA-AES256-GCM-SHA384",
    "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256": "ECDHE-ECDSA-CHACHA20-POLY1305",
    "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256": "ECDHE-RSA-CHACHA20-POLY1305",
    "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305": "ECDHE-ECDSA-CHACHA20-POLY1305",
    "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305": "ECDHE-RSA-CHACHA20-POLY1305",
    "TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA256": "ECDHE-ECDSA-AES128-SHA256",
    "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA256": "ECDHE-RSA-AES128-SHA256",
    "TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA": "ECDHE-ECDSA-AES128-SHA",
    "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA": "ECDHE-RSA-AES128-SHA",
    "TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA": "ECDHE-ECDSA-AES256-SHA",
    "TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA": "ECDHE-RSA-AES256-SHA",
    "TLS_RSA_WITH_AES_128_GCM_SHA256": "AES128-GCM-SHA256",
    "TLS_RSA_WITH_AES_256_GCM_SHA384": "AES256-GCM-SHA384",
    "TLS_RSA_WITH_AES_128_CBC_SHA256": "AES128-SHA256",
    "TLS_RSA_WITH_AES_128_CBC_SHA": "AES128-SHA",
    "TLS_RSA_WITH_AES_256_CBC_SHA": "AES256-SHA",
}
"""Go's suites up to TLS 1.2 but those with RC4 and 3DES, which OpenSSL no longer has."""

SUITES_TLS13 = frozenset(
    {"TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256"}
)


def check_suites(names: tuple[str, ...]) -> None:
    """Raises TlsError for a name that is none."""
    for name in names:
        if name not in SUITES_TLS12 and name not in SUITES_TLS13:
            known = ", ".join((*SUITES_TLS12, *sorted(SUITES_TLS13)))
            raise TlsError(f"unexpected TLS cipher suite {name!r}; known are {known}")


def check_versions(minimum: str, maximum: str) -> None:
    """Raises TlsError; "" is a bound that is not set."""
    for flag, version in (("--tls-min-version", minimum), ("--tls-max-version", maximum)):
        if version and version not in VERSIONS:
            raise TlsError(
                f"{flag}: unexpected TLS version {version!r} (must be one of: "
                f"{', '.join(VERSIONS)})"
            )
    if minimum and maximum and VERSIONS[minimum] > VERSIONS[maximum]:
        raise TlsError(
            f"min version ({minimum}) is greater than max version ({maximum}): "
            f"raise --tls-max-version"
        )
