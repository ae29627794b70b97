"""`raftkv-control-plane`: its subcommands and their options.

Owns: the command line. Must never do: more than hand on what was asked for.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import logging
import os
import signal
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import click

from apiserver_shim.cli.control_plane.plan import POD_RANGE, SERVICE_RANGE, PlanError, plan
from apiserver_shim.cli.control_plane.up import up as run_up
from apiserver_shim.components.api_client import ApiClient
from apiserver_shim.components.dns.server import DnsServer
from apiserver_shim.components.kubeconfig import BadKubeconfig, client_for
from apiserver_shim.components.kubelet.back_off import BASE_S
from apiserver_shim.components.kubelet.callers import KubeletTls
from apiserver_shim.components.kubelet.kubelet import PodSources
from apiserver_shim.components.kubelet.node import taint_of
from apiserver_shim.components.kubelet.running import KubeletOptions
from apiserver_shim.components.kubelet.running import run as run_kubelet
from apiserver_shim.components.kubelet.static_pods import LOOK_S
from apiserver_shim.components.proxy.proxy import Proxy
from apiserver_shim.trace.tracing import trace as run_trace

FILE = click.Path(path_type=Path, exists=True, dir_okay=False)
Work = Callable[[ApiClient], Awaitable[None]]


def _api_options(command: Callable[..., Any]) -> Callable[..., Any]:
    for option in (
        click.option("--server", default="", help="The API's address. [http://127.0.0.1:8080]"),
        click.option("--kubeconfig", type=click.Path(path_type=Path, exists=True)),
        click.option("-v", "--verbose", is_flag=True, help="Log what went well, too."),
    ):
        command = option(command)
    return command


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def main() -> None:
    """A small control plane for raftkv-apiserver: whole with `up`, or part by part."""


@main.command()
@click.option("--members", default=3, show_default=True, help="Members of the store.")
@click.option("--nodes", default=1, show_default=True, help="Nodes that run pods as processes.")
@click.option("--hollow-nodes", default=0, show_default=True, help="Nodes that only say so.")
@click.option("--data-dir", default="data/control-plane", show_default=True, type=Path)
@click.option("--port", default=6443, show_default=True, help="The API's.")
@click.option("--store-port", default=2379, show_default=True, help="The first member's.")
@click.option("--kubelet-port", default=10250, show_default=True, help="The first node's.")
@click.option("--dns-port", default=10053, show_default=True)
@click.option("--pod-range", default=POD_RANGE, show_default=True, help="Pods' addresses.")
@click.option("--service-cluster-ip-range", default=SERVICE_RANGE, show_default=True)
def up(**options: Any) -> None:
    """Store, API, scheduler, controllers, kubelets, proxy and dns on this machine, until Ctrl-C."""
    try:
        found = plan(**options)
    except PlanError as e:
        raise click.UsageError(str(e)) from None
    raise SystemExit(asyncio.run(run_up(found)))


@main.command()
@_api_options
@click.option("--identity", default="", help="Who leads, in the Lease. [host_pid]")
def scheduler(identity: str, **api: Any) -> None:
    """Which node each new pod runs on."""
    _serve("kube-scheduler", api, _led("apiserver_shim.components.scheduler.scheduler", identity))


@main.command(name="controller-manager")
@_api_options
@click.option("--identity", default="", help="Who leads, in the Lease. [host_pid]")
def controller_manager(identity: str, **api: Any) -> None:
    """Deployments, ReplicaSets, Jobs, endpoints, garbage collection and the others."""
    work = _led("apiserver_shim.components.controllers.roster", identity)
    _serve("kube-controller-manager", api, work)


@main.command()
@_api_options
@click.option("--node", default="node-1", show_default=True)
@click.option("--data-dir", default="data/kubelet", show_default=True, type=Path)
@click.option("--port", default=10250, show_default=True)
@click.option("--pod-cidr", default="127.64.0.0/24", show_default=True)
@click.option("--manifests", type=Path, help="A directory of pods to run besides the API's.")
@click.option("--manifest-url", default="", help="A URL that answers with pods to run.")
@click.option("--manifest-every", default=LOOK_S, show_default=True, help="Seconds.")
@click.option("--takes-pods", is_flag=True, help="POST /manifests runs pods: for trusted machines.")
@click.option("--image", "images", multiple=True, help="NAME=COMMAND: what an image runs.")
@click.option("--register-with-taints", default="", help="KEY=VALUE:EFFECT, ... of a new node.")
@click.option("--back-off", default=BASE_S, show_default=True, help="Of restarts, first: seconds.")
@click.option("--tls-cert-file", type=FILE, help="Serve HTTPS, to administrators only.")
@click.option("--tls-private-key-file", type=FILE)
@click.option("--client-ca-file", type=FILE, help="Who vouches for them.")
@click.option("--hollow", default=0, help="So many nodes NODE-0 ... that run nothing.")
def kubelet(**options: Any) -> None:
    """A node: runs its pods as local processes."""
    api = {name: options.pop(name) for name in ("server", "kubeconfig", "verbose")}
    files = [options[f"{name}_file"] for name in ("tls_cert", "tls_private_key", "client_ca")]
    if any(files) and not all(files):
        raise click.UsageError(
            "--tls-cert-file, --tls-private-key-file and --client-ca-file go together"
        )
    try:
        taints = tuple(map(taint_of, filter(None, options["register_with_taints"].split(","))))
    except ValueError as e:
        raise click.UsageError(str(e)) from None
    found = KubeletOptions(
        options["node"],
        options["data_dir"],
        options["port"],
        options["pod_cidr"],
        PodSources(options["manifests"], options["manifest_url"], options["manifest_every"]),
        options["images"],
        taints=taints,
        back_off_base_s=options["back_off"],
        takes_pods=options["takes_pods"],
        hollow=options["hollow"],
        tls=KubeletTls(*files) if all(files) else None,
    )
    _serve("kubelet", api, lambda client: run_kubelet(client, found))


@main.command()
@_api_options
def proxy(**api: Any) -> None:
    """The Services' ports on loopback, forwarded to ready endpoints."""
    _serve("kube-proxy", api, lambda client: Proxy(client).run())


@main.command()
@_api_options
@click.option("--address", default="127.0.0.1", show_default=True)
@click.option("--port", default=10053, show_default=True)
def dns(address: str, port: int, **api: Any) -> None:
    """Service names, by UDP and TCP: dig @127.0.0.1 -p 10053 web.default.svc.cluster.local."""
    _serve("dns", api, lambda client: DnsServer(client, address, port).run())


@main.command()
@_api_options
@click.option("--etcd-servers", default="http://127.0.0.1:2379", show_default=True)
@click.option("--once", default="", metavar="NAME", help="End when a pod NAME or NAME-... runs.")
def trace(etcd_servers: str, once: str, **api: Any) -> None:
    """Who writes what and who is told, live, from `kubectl apply` to a running pod."""
    endpoints = [each.removeprefix("http://") for each in etcd_servers.split(",")]
    _serve("trace", api, lambda client: run_trace(client, endpoints, once))


def _led(module: str, identity: str) -> Work:
    """A component that is led by a Lease."""

    async def work(client: ApiClient) -> None:
        try:
            found = importlib.import_module(module)
        except ModuleNotFoundError as e:
            raise click.ClickException(f"this package has no {module}: {e}") from None
        await found.run(client, identity or f"{os.uname().nodename}_{os.getpid()}")

    return work


def _serve(name: str, api: dict[str, Any], work: Work) -> None:
    """Until the work ends, or SIGTERM or Ctrl-C ends it."""
    logging.basicConfig(
        format="%(asctime)s %(levelname)s %(name)s: %(message)s",
        level=logging.INFO if api["verbose"] else logging.WARNING,
    )
    agent = f"{name}/v1.34.0 (raftkv)"
    try:
        client = client_for(agent, server=api["server"], kubeconfig=api["kubeconfig"])
    except BadKubeconfig as e:
        raise click.UsageError(str(e)) from None

    async def run() -> None:
        loop = asyncio.get_running_loop()
        async with client:
            task = asyncio.ensure_future(work(client))
            for number in (signal.SIGTERM, signal.SIGINT):
                loop.add_signal_handler(number, task.cancel)
            with contextlib.suppress(asyncio.CancelledError):
                await task

    try:
        asyncio.run(run())
    except* OSError as group:
        raise click.ClickException("; ".join(map(str, group.exceptions))) from None
    except* ValueError as group:
        raise click.UsageError("; ".join(map(str, group.exceptions))) from None


if __name__ == "__main__":
    main()
