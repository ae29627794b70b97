"""From flags, and a config file's sections, to the TLS of both ports.

Owns: etcd's names of the sections and their settings, which flags belong to which port, and the
checks that need the URLs. Must never do: make a certificate: that is for a member that starts.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from raftkv.errors import ConfigError
from raftkv.log_fields import fields
from raftkv.server.config import Address, ServerConfig
from raftkv.tls.contexts import caller_context, server_context
from raftkv.tls.errors import TlsError
from raftkv.tls.files import check_files
from raftkv.tls.self_signed import with_own_pair
from raftkv.tls.settings import NO_CLIENT_TLS, NO_PEER_TLS, TlsSettings

log = logging.getLogger("raftkv.cli")

_BOTH = {
    name: name
    for name in (
        "cert-file",
        "key-file",
        "client-cert-file",
        "client-key-file",
        "client-cert-auth",
        "trusted-ca-file",
        "auto-tls",
        "crl-file",
    )
}
SECTIONS: Mapping[str, Mapping[str, str]] = {
    "client-transport-security": _BOTH
    | {"crl-file": "client-crl-file", "allowed-hostname": "client-cert-allowed-hostname"},
    "peer-transport-security": {name: f"peer-{flag}" for name, flag in _BOTH.items()}
    | {
        "allowed-cn": "peer-cert-allowed-cn",
        "allowed-hostname": "peer-cert-allowed-hostname",
        "skip-client-san-verification": "peer-skip-client-san-verification",
    },
}
"""Sections of etcd's YAML: what is called how there, and the flag that it is."""


def flatten(path: str, settings: Mapping[object, object]) -> dict[str, object]:
    """The settings of a file with those in sections under their flags' names. Raises
    ConfigError."""
    flat: dict[str, object] = {}
    for name, value in settings.items():
        section = SECTIONS.get(str(name))
        if section is None:
            flat[str(name)] = value
            continue
        if not isinstance(value, dict):
            raise ConfigError(
                f"--config-file {path}: {name} holds settings of the form name: value"
            )
        for inner, text in value.items():
            flag = section.get(str(inner))
            if flag is None:
                raise ConfigError(
                    f"--config-file {path}: unknown setting {inner} in {name}; it may hold "
                    f"{', '.join(sorted(section))}"
                )
            flat[flag] = text
    return flat


def client_tls(values: Mapping[str, Any]) -> TlsSettings:
    """Raises ConfigError."""
    return _checked(
        replace(
            _common(values, NO_CLIENT_TLS),
            crl_file=values["client-crl-file"],
            allowed_hostnames=values["client-cert-allowed-hostname"],
        )
    )


def peer_tls(values: Mapping[str, Any]) -> TlsSettings:
    """Raises ConfigError."""
    return _checked(
        replace(
            _common(values, NO_PEER_TLS),
            crl_file=values["peer-crl-file"],
            allowed_names=values["peer-cert-allowed-cn"],
            allowed_hostnames=values["peer-cert-allowed-hostname"],
            skip_client_san=values["peer-skip-client-san-verification"],
        )
    )


def check_ports(config: ServerConfig) -> None:
    """Raises ConfigError for a TLS URL without a certificate."""
    _check_port("client", config.listen_client, config.client_tls)
    _check_port("peer", config.listen_peer, config.peer_tls)
    if config.ui.listen is not None and config.ui.listen.is_tls:
        _check_port("ui", (config.ui.listen,), config.client_tls)


def with_own_pairs(config: ServerConfig) -> ServerConfig:
    """With the certificates of --auto-tls and --peer-auto-tls, made now where they are not there.
    Raises OSError."""
    served = (*config.listen_client, *((config.ui.listen,) if config.ui.listen else ()))
    client = _own(config, "client", config.client_tls, served)
    peer = _own(config, "peer", config.peer_tls, config.listen_peer)
    return replace(config, client_tls=client, peer_tls=peer)


def _own(
    config: ServerConfig, port: str, tls: TlsSettings, addresses: tuple[Address, ...]
) -> TlsSettings:
    hosts = ["localhost" if a.is_unix else a.host for a in addresses if a.is_tls]
    if not tls.auto or tls.has_pair or not hosts:
        return tls
    return with_own_pair(tls, f"{config.data_dir}/fixtures/{port}", hosts)


def _common(values: Mapping[str, Any], port: TlsSettings) -> TlsSettings:
    prefix = port.prefix
    return replace(
        port,
        cert_file=values[f"{prefix}cert-file"],
        key_file=values[f"{prefix}key-file"],
        client_cert_file=values[f"{prefix}client-cert-file"],
        client_key_file=values[f"{prefix}client-key-file"],
        trusted_ca_file=values[f"{prefix}trusted-ca-file"],
        client_cert_auth=values[f"{prefix}client-cert-auth"],
        cipher_suites=values["cipher-suites"],
        version_min=values["tls-min-version"] or "TLS1.2",
        version_max=values["tls-max-version"],
        auto=values[f"{prefix}auto-tls"],
        self_signed_years=values["self-signed-cert-validity"],
    )


def _checked(settings: TlsSettings) -> TlsSettings:
    try:
        settings.validate()
        for _ in check_files(settings):
            pass  # warnings are for the member that starts
        if settings.has_pair:
            server_context(settings, ())
        if settings.caller_pair[0] or settings.trusted_ca_file:
            caller_context(settings)
    except TlsError as e:
        raise ConfigError(str(e)) from None
    return settings


def _check_port(port: str, addresses: tuple[Address, ...], tls: TlsSettings) -> None:
    for address in addresses:
        if address.is_tls and not tls.has_pair and not tls.auto:
            raise ConfigError(
                f"TLS key/cert ({tls.flag('cert-file')}, {tls.flag('key-file')}) must be provided "
                f"for {port} url {address.url} with HTTPS scheme, or {tls.flag('auto-tls')}"
            )
        if not address.is_tls and (tls.has_pair or tls.verifies_clients):
            log.warning(
                "TLS settings do not count for a URL of a plain scheme",
                extra=fields(port=port, url=address.url, scheme=address.scheme),
            )
