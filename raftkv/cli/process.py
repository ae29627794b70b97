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
import os
import random
import signal
import time
from dataclasses import dataclass

import uvloop

from raftkv.access.outlet import Output
from raftkv.backend.environment import LmdbBackend
from raftkv.cli.announcements import (
    announce_closing,
    announce_serving,
    announce_signal,
    announce_start,
)
from raftkv.cli.auth_settings import TokenKeys, TokenKeyWatch, auth_settings
from raftkv.cli.client_ports import client_ports
from raftkv.cli.disk_room import begin_anew, is_full, wait_for_room
from raftkv.cli.initial_check import check_against_peers
from raftkv.cli.observation import Observation, wire_limits
from raftkv.cli.peer_port import check_forced, introduce, respond_for
from raftkv.cli.recording import open_access_log
from raftkv.cli.systemd import READY, STOPPING, notify
from raftkv.cli.tls_settings import with_own_pairs
from raftkv.cli.ui_port import UiPort
from raftkv.errors import ConfigError, Corrupt, MemberRemoved
from raftkv.gateway.http import HttpGateway
from raftkv.gateway.json_api import JsonApi
from raftkv.gateway.member_health import MemberHealth
from raftkv.gateway.pages import MetricsPages
from raftkv.gateway.tls_metrics import TlsMetrics
from raftkv.gateway.token_metrics import TokenMetrics
from raftkv.log_fields import fields
from raftkv.peer.listener import Identity
from raftkv.peer.sockets import PeerSockets
from raftkv.peer.transport import PeerTransport
from raftkv.rpc.health import Health
from raftkv.rpc.services import services_of
from raftkv.server.asyncio_runtime import AsyncioScheduler, ThreadWorker
from raftkv.server.authority import AuthSettings
from raftkv.server.config import ServerConfig
from raftkv.server.foundation import Foundation, holds_data, open_foundation, others_known
from raftkv.server.member import Member
from raftkv.tls.contexts import ALPN_CLIENT_PORT
from raftkv.tls.credentials import Credentials
from raftkv.tls.errors import TlsError
from raftkv.wal.disk import OsDisk
from raftkv.wire.limits import WireLimits
from raftkv.wire.listener import Listener, listen

log = logging.getLogger("raftkv.server")

STOP_GRACE_S = 5.0
MESSAGE_OVERHEAD_BYTES = 512 * 1024
"""What a gRPC message may have above --max-request-bytes, as in etcd."""
PASSWORD_THREADS = 2
"""How many passwords are hashed at once."""
DISK_FULL = 28
"""In an exit status's place, for ``run`` alone."""
HEAP_KEPT_BYTES = 32 << 20


def run(config: ServerConfig) -> int:
    """Serve until a signal. Returns the exit status: 0 after a graceful stop, 1 after a failure.
    After a failure for want of disk it does not return, but begins anew once there is room."""
    if not __debug__:
        log.critical("refusing to run under python -O: the invariants are asserts")
        return 1
    status = uvloop.run(_run(config))
    if status == DISK_FULL:
        directories = tuple(filter(None, (config.data_dir, config.wal_dir)))
        wait_for_room(directories, config.limits.wal_segment_bytes)
        begin_anew()
    return status


async def _run(config: ServerConfig) -> int:
    announce_start(config)
    disk = OsDisk(fsync=config.operations.fsync)
    try:
        auth, token_keys = auth_settings(config)
    except ConfigError as e:
        log.critical("cannot use --auth-token", extra=fields(error=str(e)))
        return 1
    try:
        config = with_own_pairs(config)
        client_tls = Credentials(config.client_tls, ALPN_CLIENT_PORT)
        sockets = PeerSockets(Credentials(config.peer_tls))
    except (OSError, TlsError) as e:
        log.critical("cannot use the certificates", extra=fields(error=str(e)))
        return 1
    try:
        access_log = open_access_log(config.operations.access)
    except ConfigError as e:
        log.critical("cannot open the access log", extra=fields(error=str(e)))
        return 1
    try:
        joining = None
        if not holds_data(config, disk):
            joining = await introduce(config, sockets)
        elif config.force_new_cluster:
            await check_forced(config, others_known(config, LmdbBackend), sockets)
        foundation = open_foundation(config, disk, _open_backend, joining)
        if config.operations.initial_corrupt_check and joining is None:
            await check_against_peers(foundation, sockets)
    except (ConfigError, Corrupt, OSError) as e:
        log.critical(
            "cannot open the data directory",
            extra=fields(data_dir=config.data_dir, error=str(e)),
        )
        return DISK_FULL if is_full(e) else 1
    means = Means(auth, token_keys, client_tls, sockets, access_log)
    return await _Process(config, foundation, means).serve()


def _open_backend(path: str) -> LmdbBackend:
    return LmdbBackend(path, clock=time.monotonic)


@dataclass(frozen=True, slots=True)
class Means:
    """What the process opened before its member: who it is, how it talks, where it tells."""

    auth: AuthSettings
    token_keys: TokenKeys | None
    client_tls: Credentials
    sockets: PeerSockets
    access_log: Output | None


class _Threads:
    """The workers of one member."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.wal = ThreadWorker(loop, "wal")
        self.backend = ThreadWorker(loop, "backend")
        self.snapshot = ThreadWorker(loop, "snapshot")
        self.passwords = [ThreadWorker(loop, f"password{n}") for n in range(PASSWORD_THREADS)]


class _Process:
    def __init__(self, config: ServerConfig, foundation: Foundation, means: Means) -> None:
        self._config = config
        self._means = means
        self._foundation = foundation
        self._listeners: list[Listener] = []
        self._other_listeners: list[Listener] = []
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
            auth=self._means.auth,
        )
        self._health = Health()
        try:
            await self._listen()
        except ConfigError as e:
            log.critical("cannot start", extra=fields(error=str(e)))
            return 1
        except OSError as e:
            log.critical("cannot listen", extra=fields(error=str(e)))
            return 1
        self._member.when_answered(self._write_answers)
        self._member.published = self._say_ready
        self._member.start()
        key_watch = None
        if self._means.token_keys is not None:
            key_watch = TokenKeyWatch(loop, self._means.token_keys)
            key_watch.start()
        self._health.set_serving(True)
        _calm_the_collector()
        _keep_freed_memory()
        await self._stop_asked.wait()
        if key_watch is not None:
            key_watch.stop()
        await self._stop()
        if self._failure is None:
            return 0
        return DISK_FULL if is_full(self._failure) else 1

    def _say_ready(self) -> None:
        announce_serving(self._config)
        notify(READY, os.environ)

    # --- making -----------------------------------------------------------------------------

    def _make_transport(self, loop: asyncio.AbstractEventLoop) -> PeerTransport:
        self._threads = _Threads(loop)
        limits = self._config.limits
        identity = Identity(self._foundation.cluster_id, self._foundation.member_id)
        return PeerTransport(
            identity=identity,
            sockets=self._means.sockets,
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
            respond=respond_for(lambda: self._member, lambda path: self._ui.witness.answer(path)),
        )

    async def _listen(self) -> None:
        config = self._config
        reuse_port = config.operations.reuse_port
        observation = self._observation = Observation(
            self._member, self._transport, self._listeners, self._means.access_log
        )
        used = {"client": self._means.client_tls, "peer": self._means.sockets.tls}
        TlsMetrics(observation.metrics.registry, used)
        token_keys = self._means.token_keys
        TokenMetrics(observation.metrics.registry, token_keys.files if token_keys else None)
        self._ui = UiPort(self._member, self._transport, observation, self._means.sockets)
        await self._transport.listen(
            [address.url for address in config.listen_peer], reuse_port=reuse_port
        )
        message_bytes_max = config.limits.request_bytes_max + MESSAGE_OVERHEAD_BYTES
        limits = wire_limits(WireLimits(message_bytes_max=message_bytes_max), config.operations)
        services = services_of(self._member, self._health, observation.watched)
        json_api = JsonApi(services) if config.grpc_gateway else None
        http = HttpGateway(MemberHealth(self._member), observation.metrics.render, json_api)
        book, trusts_names = self._member.authority.book, config.client_tls.client_cert_auth
        ports = client_ports(
            config,
            services,
            observation.pages(http),
            json_api,
            names_are_users=lambda: trusts_names and book.enabled,
        )
        for port in ports:
            listener = await listen(
                port.services,
                port.http,
                port.address.place,
                limits,
                http_streams=port.http_streams,
                tls=self._means.client_tls if port.address.is_tls else None,
                calls=observation.calls,
                reuse_port=reuse_port,
            )
            self._listeners.append(listener)
        for address in config.listen_metrics:
            listener = await listen(
                (),
                observation.talker_pages(MetricsPages(http)),
                address.place,
                limits,
                tls=self._means.client_tls if address.is_tls else None,
                reuse_port=reuse_port,
            )
            self._other_listeners.append(listener)
        page = await self._ui.listen(self._means.client_tls)
        if page is not None:
            self._other_listeners.append(page)

    def _write_answers(self) -> None:
        for listener in self._listeners:
            listener.flush()

    # --- ending -----------------------------------------------------------------------------

    def _handle_signals(self, loop: asyncio.AbstractEventLoop) -> None:
        def asked(name: str) -> None:
            if self._stop_asked.is_set():
                log.warning("signalled again; ending at once", extra=fields(signal=name))
                raise SystemExit(1)
            announce_signal(name)
            self._stop_asked.set()

        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, asked, number.name)

    def _fail(self, error: BaseException) -> None:
        if not isinstance(error, MemberRemoved):  # that is an end in order, as in etcd
            self._failure = error
        self._stop_asked.set()

    async def _stop(self) -> None:
        self._health.set_serving(False)
        announce_closing(self._config, closed=False)
        notify(STOPPING, os.environ)
        self._ui.close()
        if self._failure is None:
            await self._stop_member()
        listeners = (*self._listeners, *self._other_listeners)
        await asyncio.gather(*(one.close(STOP_GRACE_S) for one in listeners))
        await self._transport.close()
        self._observation.close()
        announce_closing(self._config, closed=True)

    async def _stop_member(self) -> None:
        stopped = asyncio.Event()
        self._member.stop(stopped.set)
        try:
            async with asyncio.timeout(STOP_GRACE_S):
                await stopped.wait()
        except TimeoutError:
            told = fields(waited=f"{STOP_GRACE_S:g}s")
            log.warning("the disk takes too long to stop; the log will be replayed", extra=told)


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
