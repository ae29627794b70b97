"""The clients that every control plane has, and the files each of them gets.

Owns: their users and groups. Must never do: know what they may do; roles say that.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from apiserver_shim.api.user import MASTERS, NODE_PREFIX, NODES
from apiserver_shim.security.certificates import Certificates, Pair
from apiserver_shim.security.kubeconfig import write_kubeconfig


@dataclass(frozen=True, slots=True)
class Identity:
    """``file``: of NAME.crt, NAME.key and NAME.conf."""

    file: str
    user: str
    groups: tuple[str, ...] = ()


ADMIN = Identity("admin", "kubernetes-admin", (MASTERS,))
COMPONENTS = (
    ADMIN,
    Identity("scheduler", "system:kube-scheduler"),
    Identity("controller-manager", "system:kube-controller-manager"),
    Identity("kube-proxy", "system:kube-proxy"),
)
KUBELET_CLIENT = Identity("apiserver-kubelet-client", "kube-apiserver-kubelet-client", (MASTERS,))


def node_identity(name: str, file: str = "kubelet") -> Identity:
    """Of the kubelet of that node."""
    return Identity(file, f"{NODE_PREFIX}{name}", (NODES,))


def write_identity(certificates: Certificates, identity: Identity, server: str) -> Path:
    """The certificate, and the kubeconfig that carries it; its path."""
    pair = issue(certificates, identity)
    path = certificates.directory / f"{identity.file}.conf"
    write_kubeconfig(path, server, certificates.authority().certificate, identity.user, pair)
    return path


def issue(certificates: Certificates, identity: Identity) -> Pair:
    return certificates.client(identity.file, identity.user, identity.groups)
