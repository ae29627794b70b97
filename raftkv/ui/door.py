"""Who may come in: the checks before every request of the UI's port.

Owns: the Host check against DNS rebinding, the origins that may read (CORS), the header that no
cross-site form can send, and the headers that tell the browser what the page may do. Must never do:
know users; ``session`` does.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Mapping
from urllib.parse import urlsplit

from raftkv.server.config import Address
from raftkv.ui.answers import Refusal

HEADER = "x-raftkv-ui"
LOCALHOST = "localhost"
_ALLOWED = {
    "access-control-allow-methods": "GET, POST, OPTIONS",
    "access-control-allow-headers": f"{HEADER}, authorization, content-type",
    "access-control-max-age": "600",
    "vary": "Origin",
}
_ALWAYS = {"x-content-type-options": "nosniff", "referrer-policy": "no-referrer"}


class Door:
    """``hosts`` are names that may stand in Host beside addresses; ``origins`` are the ui_urls of
    the members that are known now."""

    def __init__(
        self, listen: Address, hosts: frozenset[str], origins: Callable[[], frozenset[str]]
    ) -> None:
        self._listen = listen
        self._hosts = hosts | {LOCALHOST, listen.host.lower()}
        self._origins = origins
        self._is_local = is_loopback(listen.host)

    def check(self, method: str, headers: Mapping[str, str]) -> None:
        """Raises Refusal."""
        host = headers.get("host", "")
        # Over TLS the certificate has proven the name.
        if not self._listen.is_tls and not self._is_ours(host):
            raise Refusal(
                421,
                f"the Host {host!r} is not this page's: open {self._listen.url} itself, or name "
                f"the host in --host-whitelist",
            )
        if method == "POST":
            self._check_post(headers, host)

    def allowed(self, headers: Mapping[str, str]) -> dict[str, str]:
        """Headers for the answer."""
        origin = headers.get("origin", "")
        if origin and origin in self._origins():
            return {**_ALWAYS, **_ALLOWED, "access-control-allow-origin": origin}
        return dict(_ALWAYS)

    def _check_post(self, headers: Mapping[str, str], host: str) -> None:
        if not headers.get(HEADER):
            raise Refusal(403, "a POST needs the header X-Raftkv-UI: 1")
        origin = headers.get("origin", "")
        own = f"{self._listen.scheme}://{host}"
        if origin and origin != own and origin not in self._origins():
            raise Refusal(403, f"the page of {origin} may not act here: open this member's own")

    def _is_ours(self, host: str) -> bool:
        """A rebound name is a name: an address is what it says."""
        name = host_name(host)
        if name in self._hosts:
            return True
        try:
            address = ipaddress.ip_address(name)
        except ValueError:
            return False
        return address.is_loopback or not self._is_local


def is_loopback(host: str) -> bool:
    if host == LOCALHOST:
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def host_name(host: str) -> str:
    """The name in Host, in lower case, without port and brackets."""
    try:
        return (urlsplit(f"//{host}").hostname or "").lower()
    except ValueError:
        return ""
