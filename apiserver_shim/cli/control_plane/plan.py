"""What `raftkv-control-plane up` starts: programs, ports and directories.

Owns: every part's command line, the kubeconfig, the order. Must never do: start anything.
"""

from __future__ import annotations

import socket
import sys
from dataclasses import dataclass
from ipaddress import IPv4Network
from pathlib import Path

HOST = "127.0.0.1"
PORT_MAX = 65_535
STORE_STEP = 10
POD_RANGE, SERVICE_RANGE = "127.64.0.0/16", "127.96.0.0/16"
"""On loopback: pods are processes here, and the proxy listens on services' addresses."""
NODE_PREFIX = 24
PREFIX_MAX = 16
HOLLOW_TAINT = "raftkv.dev/hollow=true:NoSchedule"
NODES_MAX = 60
MEMBERS_MAX = 9


class PlanError(ValueError):
    """Names the option and what is wrong with it."""


@dataclass(frozen=True, slots=True)
class Part:
    """A program. ``health``: a URL that answers 200 when it serves, or empty. ``stage``: parts
    start when all of the stages before serve, and stop in the opposite order."""

    name: str
    stage: int
    command: tuple[str, ...]
    health: str = ""


@dataclass(frozen=True, slots=True)
class Plan:
    parts: tuple[Part, ...]
    directory: Path
    server: str
    store: str
    nodes: tuple[str, ...]
    hollow_nodes: int
    dns: str

    @property
    def pki(self) -> Path:
        return _pki(self.directory)

    @property
    def kubeconfig(self) -> Path:
        return _pki(self.directory) / "admin.conf"

    def log_path(self, part: Part) -> Path:
        return self.directory / "logs" / f"{part.name}.log"


def plan(
    *,
    members: int,
    nodes: int,
    hollow_nodes: int,
    data_dir: Path,
    port: int,
    store_port: int,
    kubelet_port: int,
    dns_port: int,
    pod_range: str = POD_RANGE,
    service_cluster_ip_range: str = SERVICE_RANGE,
) -> Plan:
    """Raises PlanError."""
    if not 1 <= members <= MEMBERS_MAX:
        raise PlanError(f"--members {members}: 1 to {MEMBERS_MAX}")
    if not 0 <= nodes <= NODES_MAX:
        raise PlanError(f"--nodes {nodes}: 0 to {NODES_MAX}")
    _loopback("service-cluster-ip-range", service_cluster_ip_range)
    networks = _loopback("pod-range", pod_range).subnets(new_prefix=NODE_PREFIX)
    ports = [store_port + STORE_STEP * i + j for i in range(members) for j in (0, 1)]
    ports += [port, dns_port, *(kubelet_port + i for i in range(nodes))]
    _check_ports(ports)
    directory = data_dir.resolve()
    server = f"https://{HOST}:{port}"
    store = ",".join(f"http://{HOST}:{store_port + STORE_STEP * i}" for i in range(members))
    parts = [
        *_members(members, store_port, directory),
        _apiserver(store, port, service_cluster_ip_range, directory),
        _part("scheduler", directory, "scheduler"),
        _part("controller-manager", directory, "controller-manager"),
        *(
            _kubelet(number, kubelet_port, str(next(networks)), directory)
            for number in range(1, nodes + 1)
        ),
        _part("proxy", directory, "kube-proxy"),
        _part("dns", directory, "kube-proxy", "--port", str(dns_port)),
    ]
    if hollow_nodes:
        more: tuple[str, ...] = (
            "--node",
            "hollow",
            "--hollow",
            str(hollow_nodes),
            "--data-dir",
            str(directory),
        )
        if nodes:  # what is to run is to run somewhere
            more = (*more, "--register-with-taints", HOLLOW_TAINT)
        parts.append(_part("kubelet", directory, "admin", *more, name="hollow-kubelets"))
    return Plan(
        tuple(parts),
        directory,
        server,
        store,
        tuple(f"node-{number}" for number in range(1, nodes + 1)),
        hollow_nodes,
        f"{HOST}:{dns_port}",
    )


def _members(count: int, first_port: int, directory: Path) -> list[Part]:
    ports = [first_port + STORE_STEP * i for i in range(count)]
    initial = ",".join(f"m{i + 1}=http://{HOST}:{port + 1}" for i, port in enumerate(ports))
    return [
        Part(
            f"m{i + 1}",
            0,
            (
                *(sys.executable, "-m", "raftkv.cli.main", "serve"),
                f"--name=m{i + 1}",
                f"--data-dir={directory / f'm{i + 1}'}",
                f"--listen-client-urls=http://{HOST}:{port}",
                f"--advertise-client-urls=http://{HOST}:{port}",
                f"--listen-peer-urls=http://{HOST}:{port + 1}",
                f"--initial-advertise-peer-urls=http://{HOST}:{port + 1}",
                f"--initial-cluster={initial}",
                "--initial-cluster-token=control-plane",
            ),
            f"http://{HOST}:{port}/health",
        )
        for i, port in enumerate(ports)
    ]


def _apiserver(store: str, port: int, services: str, directory: Path) -> Part:
    command = (
        *(sys.executable, "-m", "apiserver_shim.cli.apiserver"),
        *("--etcd-servers", store, "--secure-port", str(port)),
        *("--cert-dir", str(_pki(directory)), "--service-cluster-ip-range", services),
    )
    return Part("apiserver", 1, command, f"https://{HOST}:{port}/readyz")


def _loopback(option: str, text: str) -> IPv4Network:
    try:
        network = IPv4Network(text)
    except ValueError as e:
        raise PlanError(f"--{option} {text}: {e}") from None
    if not network.is_loopback or network.prefixlen > PREFIX_MAX:
        raise PlanError(
            f"--{option} {text}: must be a part of 127.0.0.0/8 of /{PREFIX_MAX} at least"
        )
    return network


def _kubelet(number: int, first_port: int, pods: str, directory: Path) -> Part:
    node, port, pki = f"node-{number}", first_port + number - 1, _pki(directory)
    return _part(
        "kubelet",
        directory,
        node,
        *("--node", node, "--port", str(port)),
        *("--pod-cidr", pods),
        *("--data-dir", str(directory / node)),
        *("--tls-cert-file", str(pki / f"{node}-serving.crt")),
        *("--tls-private-key-file", str(pki / f"{node}-serving.key")),
        *("--client-ca-file", str(pki / "ca.crt")),
        name=f"kubelet-{number}",
        health=f"https://{HOST}:{port}/healthz",
    )


def _part(
    command: str, directory: Path, who: str, *more: str, name: str = "", health: str = ""
) -> Part:
    """``who``: whose kubeconfig it works with."""
    program = (sys.executable, "-m", "apiserver_shim.cli.control_plane.main", command)
    config = _pki(directory) / f"{who}.conf"
    return Part(name or command, 2, (*program, "--kubeconfig", str(config), "-v", *more), health)


def _pki(directory: Path) -> Path:
    return directory / "pki"


def _check_ports(ports: list[int]) -> None:
    if min(ports) < 1 or max(ports) > PORT_MAX:
        raise PlanError(f"ports {min(ports)} to {max(ports)} are needed, of 1 to {PORT_MAX}")
    twice = sorted({port for port in ports if ports.count(port) > 1})
    if twice:
        raise PlanError(f"port {', '.join(map(str, twice))} is wanted for two parts")
    taken = [str(port) for port in ports if not _is_free(port)]
    if taken:
        raise PlanError(
            f"port {', '.join(taken)} on {HOST} is in use: stop what listens there, or choose "
            "others with --port, --store-port, --kubelet-port and --dns-port"
        )


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True
