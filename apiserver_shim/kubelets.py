"""The shim's way to the kubelets: one GET of theirs, passed on as a stream.

Owns: the HTTP session and where a node's kubelet listens. Must never do: follow a redirect, or
send a client's credentials on: the shim shows its own certificate.
"""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator, Mapping
from typing import Any

import aiohttp

from apiserver_shim.api.status import ApiError, bad_request, unavailable

CONNECT_S_MAX = 5.0
ERROR_BYTES_MAX = 4096
CHUNK_BYTES = 64 * 1024
DEFAULT_PORT = 10250
_PREFERRED = ("InternalIP", "ExternalIP", "Hostname")


class Kubelets:
    """``tls``: the shim's own certificate, and whom it believes; without it kubelets are asked by
    plain HTTP, on loopback. Close it at the end."""

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self._tls = tls
        self._session: aiohttp.ClientSession | None = None

    @property
    def scheme(self) -> str:
        return "http" if self._tls is None else "https"

    async def open(self, url: str, query: Mapping[str, str]) -> AsyncIterator[bytes]:
        """The body, as it comes, once the kubelet has said 200. Raises 502 and its own errors."""
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(ssl=self._tls if self._tls is not None else True)
            )
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_S_MAX)
        try:
            reply = await self._session.get(
                url, params=dict(query), timeout=timeout, allow_redirects=False
            )
        except (aiohttp.ClientError, TimeoutError, OSError) as e:
            raise unavailable(f"the kubelet at {url} does not answer: {e}") from None
        if reply.status != 200:
            text = (await reply.content.read(ERROR_BYTES_MAX)).decode(errors="replace").strip()
            reply.release()
            raise _failure(reply.status, text)
        return _body(reply)

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None


async def _body(reply: aiohttp.ClientResponse) -> AsyncIterator[bytes]:
    try:
        async for chunk in reply.content.iter_any():
            yield chunk
    except aiohttp.ClientError:
        return  # the kubelet has gone: what came is the log as far as there is one
    finally:
        reply.close()


def kubelet_address(node: dict[str, Any]) -> str:
    """host:port. Raises 400 for a node that has not said where it listens."""
    status = node.get("status") or {}
    addresses = {a.get("type"): a.get("address") for a in status.get("addresses") or ()}
    host = next((addresses[kind] for kind in _PREFERRED if addresses.get(kind)), "")
    if not host:
        name = node["metadata"]["name"]
        raise bad_request(f"no preferred addresses found; known addresses: {addresses} of {name}")
    port = (status.get("daemonEndpoints") or {}).get("kubeletEndpoint", {}).get("Port")
    host = f"[{host}]" if ":" in host else host
    return f"{host}:{port or DEFAULT_PORT}"


def _failure(code: int, text: str) -> ApiError:
    if code == 404:
        return ApiError(404, "NotFound", text or "the kubelet does not know this container")
    if code == 400:
        return bad_request(text)
    return ApiError(500, "InternalError", f"the kubelet answers {code}: {text}")
