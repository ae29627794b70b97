"""Who may ask the kubelet: under TLS, only who shows a certificate of the cluster's administrators.

Owns: that check. Must never do: apply it to /healthz, which tells nothing. Logs hold what programs
print, secrets too; and POST /manifests runs programs.
"""

from __future__ import annotations

import ssl
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

from aiohttp import web

MASTERS = "system:masters"
"""The group of the apiserver's own certificate towards kubelets, too."""

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass(frozen=True, slots=True)
class KubeletTls:
    certificate: Path
    key: Path
    client_ca: Path

    def context(self) -> ssl.SSLContext:
        """Reads files: at start only. Raises OSError and ssl.SSLError."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.load_cert_chain(self.certificate, self.key)
        context.load_verify_locations(self.client_ca)
        context.verify_mode = ssl.CERT_OPTIONAL
        return context


@web.middleware
async def administrators_only(request: web.Request, handler: Handler) -> web.StreamResponse:
    if request.path == "/healthz":
        return await handler(request)
    transport = request.transport
    shown = transport.get_extra_info("peercert") if transport is not None else None
    if not shown:
        return web.Response(status=401, text="Unauthorized")
    groups = {
        value
        for attributes in shown.get("subject", ())
        for name, value in attributes
        if name == "organizationName"
    }
    if MASTERS not in groups:
        return web.Response(status=403, text=f"Forbidden: only {MASTERS} may ask a kubelet")
    return await handler(request)
