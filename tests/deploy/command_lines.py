"""The command lines in deploy/, read as a member reads them.

Owns: ``taken``: raftkv's own settings reader, with files where the text says /etc/raftkv/tls. Must
never do: know a flag itself.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from raftkv.cli.settings import read_settings
from raftkv.server.config import ServerConfig
from tests.e2e.program import ROOT

DEPLOY = ROOT / "deploy"
TLS = "/etc/raftkv/tls"


def taken(
    arguments: Sequence[str], environment: Mapping[str, str], certificates: Path | str = TLS
) -> ServerConfig:
    """What a member makes of it; ``arguments`` begin with "serve". Raises ConfigError for what it
    would refuse."""
    assert arguments[0] == "serve", arguments
    mended = [each.replace(TLS, str(certificates)) for each in arguments[1:]]
    variables = {name: text.replace(TLS, str(certificates)) for name, text in environment.items()}
    config = read_settings(mended, variables)
    config.validate()
    return config


def agree(configs: Sequence[ServerConfig]) -> None:
    """Members of one cluster: they name the same members, each itself once, and the same token."""
    clusters = [config.initial_cluster for config in configs]
    assert all(each == clusters[0] for each in clusters), clusters
    assert sorted(config.name for config in configs) == sorted(clusters[0])
    assert len({config.initial_cluster_token for config in configs}) == 1
    for config in configs:
        assert clusters[0][config.name] == config.initial_advertise_peer_urls
    urls = [url for config in configs for url in config.advertise_client_urls]
    assert len(urls) == len(set(urls))
