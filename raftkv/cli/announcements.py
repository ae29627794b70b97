"""The lines by which scripts made for etcd know how far a member is.

Owns: their texts and fields, which are etcd's (embed/etcd.go, etcdmain/etcd.go). Must never do:
anything but log.
"""

from __future__ import annotations

import logging
import os
import platform
import sys

from raftkv import ETCD_VERSION, __version__
from raftkv.log_fields import fields
from raftkv.server.config import Address, ServerConfig

_SIGNALS = {"SIGTERM": "terminated", "SIGINT": "interrupt"}

log = logging.getLogger("raftkv.server")


def announce_start(config: ServerConfig) -> None:
    """Before anything is opened."""
    quota = config.quota_backend_bytes
    log.info(
        "starting an etcd server",
        extra=fields(
            etcd_version=ETCD_VERSION,
            git_sha=f"raftkv-{__version__}",
            go_version=f"none (Python {platform.python_version()})",
            go_os=sys.platform,
            go_arch=platform.machine(),
            max_cpu_available=os.cpu_count(),
            name=config.name,
            data_dir=config.data_dir,
            wal_dir=config.wal_dir,
            force_new_cluster=config.force_new_cluster,
            heartbeat_interval=f"{config.heartbeat_interval_ms}ms",
            election_timeout=f"{config.election_timeout_ms}ms",
            snapshot_count=config.snapshot_count,
            initial_advertise_peer_urls=list(config.initial_advertise_peer_urls),
            listen_peer_urls=[address.url for address in config.listen_peer],
            advertise_client_urls=list(config.advertise_client_urls),
            listen_client_urls=[address.url for address in config.listen_client],
            listen_metrics_urls=[address.url for address in config.listen_metrics],
            initial_cluster_state=config.initial_cluster_state,
            initial_cluster_token=config.initial_cluster_token,
            quota_backend_bytes=quota,
            pre_vote=config.pre_vote,
            initial_corrupt_check=config.operations.initial_corrupt_check,
            corrupt_check_time_interval=f"{config.operations.corrupt_check_interval_s:g}s",
        ),
    )
    if not config.operations.fsync:
        log.warning("running with --unsafe-no-fsync: a power cut may lose what was acknowledged")


def announce_serving(config: ServerConfig) -> None:
    """Once the cluster knows the member."""
    log.info("ready to serve client requests")
    for address in config.listen_client:
        announce_traffic(address)


def announce_traffic(address: Address) -> None:
    if not address.is_tls:
        log.info(
            "serving client traffic insecurely; this is strongly discouraged!",
            extra=fields(traffic="grpc+http", address=_place(address)),
        )
    else:
        log.info(
            "serving client traffic securely",
            extra=fields(traffic="grpc+http", address=_place(address)),
        )


def announce_signal(name: str) -> None:
    """``name`` as in Python; the line has Go's."""
    told = _SIGNALS.get(name, name)
    log.info("received signal; shutting down", extra=fields(signal=told))


def announce_closing(config: ServerConfig, *, closed: bool) -> None:
    log.info(
        "closed etcd server" if closed else "closing etcd server",
        extra=fields(
            name=config.name,
            data_dir=config.data_dir,
            advertise_peer_urls=list(config.initial_advertise_peer_urls),
            advertise_client_urls=list(config.advertise_client_urls),
        ),
    )


def _place(address: Address) -> str:
    return address.host if address.is_unix else f"{address.host}:{address.port}"
