"""One member as a process: the loop, the ports, the signals.

Owns: making the real scheduler, threads, sockets and files, and the order of starting and
stopping. Must never do: anything a simulation would need: that is in ``raftkv.server``.
Start: files, then peers, then clients. Stop: clients are told to go, then the log and the
database are closed. SIGTERM and SIGINT stop; a second one ends the process at once.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import random
import signal
import time
from pathlib import Path

import uvloop

from raftkv import ETCD_VERSION, __version__
from raftkv.auth.jwt_tokens import JwtTokens, parse_jwt_options
from raftkv.backend.environment import LmdbBackend
from raftkv.cli.flags import parse_duration
from raftkv.cli.peer_port import introduce, respond_for
from raftkv.errors import ConfigError, Corrupt, MemberRemoved
from raftkv.gateway.http import HttpGateway
from raftkv.gateway.json_api import JsonApi
from raftkv.gateway.member_health import MemberHealth, metrics_snapshot
from raftkv.gateway.metrics import Metrics, MetricsSnapshot
from raftkv.peer.listener import Identity
from raftkv.peer.transport import PeerTransport
from raftkv.rpc.health import Health
from raftkv.rpc.services import services_of
from raftkv.server.asyncio_runtime import AsyncioScheduler, ThreadWorker
from raftkv.server.authority import AuthSettings
from raftkv.server.config import ServerConfig
from raftkv.server.foundation import Foundation, holds_data, open_foundation
from raftkv.server.member import Member
from raftkv.wal.disk import OsDisk
from raftkv.wire.limits import WireLimits
from raftkv.wire.listener import Listener, listen

log = logging.getLogger("raftkv.server")

STOP_GRACE_S = 5.0
MESSAGE_OVERHEAD_BYTES = 512 * 1024
PASSWORD_THREADS = 2
"""How many passwords are hashed at once."""
HEAP_KEPT_BYTES = 32 << 20
"""What a gRPC message may have above --max-request-bytes, as in etcd."""


def run(config: ServerConfig) -> int:
    """Serve until a signal. Returns the exit status: 0 after a graceful stop, 1 after a failure."""
    if not __debug__:
        log.critical("refusing to run under python -O: the invariants are asserts")
        return 1
    return uvloop.run(_run(config))


async def _run(config: ServerConfig) -> int:
    disk = OsDisk()
    try:
        auth = auth_settings(config)
    except ConfigError as e:
        log.critical("%s", e)
        return 1
    try:
        joining = None if holds_data(config, disk) else await introduce(config)
        foundation = open_foundation(config, disk, LmdbBackend, joining)
    except (ConfigError, Corrupt, OSError) as e:
        log.critical("cannot open %s: %s", config.data_dir, e)
        return 1
    return await _Process(config, foundation, auth).serve()


def auth_settings(config: ServerConfig) -> AuthSettings:
    """Reads the keys that sign tokens. Raises ConfigError."""
    kind, _, options = config.auth_token.partition(",")
    signer = None
    if kind == "jwt":
        parsed = parse_jwt_options(options, parse_duration)
        signer = JwtTokens(parsed, lambda path: Path(path).read_bytes(), time.time)
    elif config.auth_token != "simple":
        raise ConfigError(f"--auth-token must be simple or jwt,..., got {config.auth_token!r}")
    else:
        log.warning("simple token is not cryptographically signed")
    return AuthSettings(
        signer=signer,
        token_ttl_s=config.auth_token_ttl_s,
        bcrypt_cost=config.bcrypt_cost,
        trusts_certificates=config.client_cert_auth,
    )


class _Threads:
    """The workers of one member."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.wal = ThreadWorker(loop, "wal")
        self.backend = ThreadWorker(loop, "backend")
        self.snapshot = ThreadWorker(loop, "snapshot")
        self.passwords = [ThreadWorker(loop, f"password{n}") for n in range(PASSWORD_THREADS)]


class _Process:
    def __init__(self, config: ServerConfig, foundation: Foundation, auth: AuthSettings) -> None:
        self._config = config
        self._auth = auth
        self._foundation = foundation
        self._listeners: list[Listener] = []
        self._failure: BaseException | None = None

    async def serve(self) -> int:
        loop = asyncio.get_running_loop()
        self._stop_asked = asyncio.Event()
        self._handle_signals(loop)
        self._transport = self._make_transport(loop)
        self._member = Member(
            self._config,
            self._foundation,
            scheduler=AsyncioScheduler(loop),
            workers=self._threads,
            transport=self._transport,
            random=random.SystemRandom(),
            fatal=self._fail,
            auth=self._auth,
        )
        self._health = Health()
        try:
            await self._listen()
        except OSError as e:
            log.critical("cannot listen: %s", e)
            return 1
        self._member.start()
        self._announce()
        _calm_the_collector()
        _keep_freed_memory()
        await self._stop_asked.wait()
        await self._stop()
        return 0 if self._failure is None else 1

    # --- making -----------------------------------------------------------------------------

    def _make_transport(self, loop: asyncio.AbstractEventLoop) -> PeerTransport:
        self._threads = _Threads(loop)
        limits = self._config.limits
        identity = Identity(self._foundation.cluster_id, self._foundation.member_id)
        return PeerTransport(
            identity=identity,
            scheduler=AsyncioScheduler(loop),
            snapshot_worker=self._threads.snapshot,
            queue_bytes_max=limits.peer_queue_bytes_max,
            frame_bytes_max=limits.message_bytes_max
            + max(limits.batch_bytes_max, 2 * limits.request_bytes_max),
            deliver=lambda messages: self._member.receive(messages),
            unreachable=lambda peer: self._member.unreachable(peer),
            open_snapshot=self._foundation.open_snapshot,
            has_removed=lambda peer: self._member.has_removed(peer),
            told_removed=lambda: self._member.told_removed(),
            respond=respond_for(lambda: self._member),
        )

    async def _listen(self) -> None:
        config = self._config
        await self._transport.listen([(a.host, a.port) for a in config.listen_peer])
        metrics = Metrics(self._snapshot_metrics)
        self._member.observe(metrics.wal_fsync.observe, metrics.backend_commit.observe)
        limits = WireLimits(
            message_bytes_max=config.limits.request_bytes_max + MESSAGE_OVERHEAD_BYTES
        )
        services = services_of(self._member, self._health)
        http = HttpGateway(MemberHealth(self._member), metrics.render, JsonApi(services))
        for address in config.listen_client:
            listener = await listen(services, http, (address.host, address.port), limits)
            self._listeners.append(listener)

    def _snapshot_metrics(self) -> MetricsSnapshot:
        return metrics_snapshot(
            self._member,
            sent=sum(listener.bytes_sent for listener in self._listeners),
            received=sum(listener.bytes_received for listener in self._listeners),
        )

    def _announce(self) -> None:
        self._health.set_serving(True)
        log.info(
            "raftkv %s (etcd API %s) member %s %x of cluster %x",
            __version__,
            ETCD_VERSION,
            self._config.name,
            self._member.member_id,
            self._member.cluster_id,
        )
        for address in self._config.listen_client:
            log.info("ready to serve client requests on %s", address.url)

    # --- ending -----------------------------------------------------------------------------

    def _handle_signals(self, loop: asyncio.AbstractEventLoop) -> None:
        def asked(name: str) -> None:
            if self._stop_asked.is_set():
                log.warning("%s again: ending at once", name)
                raise SystemExit(1)
            log.info("%s: stopping", name)
            self._stop_asked.set()

        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, asked, number.name)

    def _fail(self, error: BaseException) -> None:
        if not isinstance(error, MemberRemoved):  # that is an end in order, as in etcd
            self._failure = error
        self._stop_asked.set()

    async def _stop(self) -> None:
        self._health.set_serving(False)
        if self._failure is None:
            await self._stop_member()
        await asyncio.gather(*(one.close(STOP_GRACE_S) for one in self._listeners))
        await self._transport.close()
        log.info("stopped")

    async def _stop_member(self) -> None:
        stopped = asyncio.Event()
        self._member.stop(stopped.set)
        try:
            async with asyncio.timeout(STOP_GRACE_S):
                await stopped.wait()
        except TimeoutError:
            log.warning("the disk took more than %.0f s: the log will be replayed", STOP_GRACE_S)


def _calm_the_collector() -> None:
    """What was made by now lives for ever: the collector need not look at it again, and garbage in
    cycles is rare on the request path, so that it may look less often."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)


def _keep_freed_memory() -> None:
    """glibc gives what is freed at the heap's end back to the kernel, page by page, and a list of
    10 MB then spends half of its time on page faults. It keeps twice the largest block that it has
    seen mapped and freed; this one's pages are never touched. Other libcs: no effect."""
    bytes(HEAP_KEPT_BYTES // 2)
