"""`raftkv-apiserver`: one shim as a process.

Owns: its options and its end. Must never do: more than start what ``shim`` makes.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal

import click
from aiohttp import web

from apiserver_shim.security.door import OpenDoor
from apiserver_shim.shim import make


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--etcd-servers", default="http://127.0.0.1:2379", show_default=True)
@click.option("--bind-address", default="127.0.0.1", show_default=True)
@click.option("--insecure-port", default=8080, show_default=True)
def main(etcd_servers: str, bind_address: str, insecure_port: int) -> None:
    """A Kubernetes API on raftkv or etcd."""
    logging.basicConfig(
        format="%(asctime)s %(levelname)s %(name)s: %(message)s", level=logging.INFO
    )
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_serve(etcd_servers.split(","), bind_address, insecure_port))


async def _serve(endpoints: list[str], host: str, port: int) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for sign in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(sign, stop.set)
    shim, client = make(
        [each.removeprefix("http://") for each in endpoints], OpenDoor(), f"{host}:{port}"
    )
    async with client:
        running = asyncio.create_task(shim.run())
        await shim.bootstrap()
        runner = web.AppRunner(shim.server.app, access_log=None)
        await runner.setup()
        await web.TCPSite(runner, host, port).start()
        click.echo(f"serving on http://{host}:{port}")
        await stop.wait()
        await runner.cleanup()
        running.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await running


if __name__ == "__main__":
    main()
