"""`raftkv-apiserver`: one shim as a process.

Owns: its listeners, its beginning and its end. Must never do: more than start what ``shim`` makes.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import ssl
from typing import Any

import click
from aiohttp import web

from apiserver_shim.bootstrap.reconciling import ClusterFacts
from apiserver_shim.cli.credentials import Credentials, credentials, security_settings
from apiserver_shim.cli.options import Options, parse, with_options
from apiserver_shim.http.audit import AuditLog
from apiserver_shim.http.in_flight import InFlight
from apiserver_shim.http.server import ApiServer
from apiserver_shim.security.door import OpenDoor
from apiserver_shim.shim import Shim, ShimSettings, make
from raftkv.errors import RaftKVError

log = logging.getLogger("apiserver_shim")

GRACE_S = 10.0
"""How long requests that are being answered may hold up the end."""
BOOTSTRAP_PAUSE_S = 1.0


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@with_options
def main(**given: Any) -> None:
    """A Kubernetes API on raftkv or etcd."""
    options = parse(given)
    logging.basicConfig(
        format="%(asctime)s %(levelname)s %(name)s: %(message)s", level=logging.INFO
    )
    try:
        shown = credentials(options) if options.secure_port else None
        settings, audit = _settings(options, shown)
    except (OSError, ValueError, ssl.SSLError) as e:
        raise click.ClickException(str(e)) from None
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_serve(options, settings, shown))
    if audit is not None:
        audit.close()


def _settings(options: Options, shown: Credentials | None) -> tuple[ShimSettings, AuditLog | None]:
    audit = AuditLog(options.audit_log_path) if options.audit_log_path else None
    facts = ClusterFacts(service_cidr=options.service_cluster_ip_range)
    if shown is not None:
        facts = ClusterFacts(
            options.advertised,
            options.secure_port,
            options.service_cluster_ip_range,
            shown.client_ca,
        )
    settings = ShimSettings(
        facts,
        security_settings(options),
        InFlight(options.max_requests_inflight, options.max_mutating_requests_inflight),
        audit.write if audit else None,
        options.request_timeout,
        shown.kubelet_tls if shown else None,
        options.store_tls,
    )
    return settings, audit


async def _serve(options: Options, settings: ShimSettings, shown: Credentials | None) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for sign in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(sign, stop.set)
    port = options.secure_port or options.insecure_port
    shim, client = make(options.endpoints, None, f"{options.advertised}:{port}", settings)
    async with client:
        running = asyncio.create_task(shim.run())
        await _bootstrapped(shim, stop)
        runners = []
        if shown is not None:
            host = options.bind_address
            runners.append(await _listen(shim.server, host, options.secure_port, shown.tls))
            if shown.admin is not None:
                click.echo(f"kubeconfig: {shown.admin}")
        if options.insecure_port:
            insecure = shim.server_behind(OpenDoor())
            host = options.insecure_bind_address
            runners.append(await _listen(insecure, host, options.insecure_port, None))
        await stop.wait()
        await shim.end()
        for runner in runners:
            await runner.cleanup()
        await shim.close()
        running.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await running


async def _bootstrapped(shim: Shim, stop: asyncio.Event) -> None:
    """Until the store answers, or nobody wants it any more."""
    while not stop.is_set():
        try:
            await shim.bootstrap()
        except RaftKVError as e:
            log.warning("the store does not answer yet: %s", e)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(BOOTSTRAP_PAUSE_S):
                    await stop.wait()
        else:
            return


async def _listen(
    server: ApiServer, host: str, port: int, tls: ssl.SSLContext | None
) -> web.AppRunner:
    """A client that goes ends what is done for it."""
    runner = web.AppRunner(
        server.app, access_log=None, shutdown_timeout=GRACE_S, handler_cancellation=True
    )
    await runner.setup()
    await web.TCPSite(runner, host, port, ssl_context=tls).start()
    click.echo(f"serving on {'http' if tls is None else 'https'}://{host}:{port}")
    return runner


if __name__ == "__main__":
    main()
