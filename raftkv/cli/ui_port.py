"""The page of one member process: its parts made and connected, and its port.

Owns: UiPort. Must never do: serve; ``raftkv.ui`` does. Every member answers the others' questions,
with or without a page of its own.
"""

from __future__ import annotations

import asyncio
import logging
import re
import time
from collections.abc import Callable
from urllib.parse import urlsplit

from raftkv.cli.observation import Observation
from raftkv.log_fields import fields
from raftkv.peer.http import HttpAnswer, ask
from raftkv.peer.sockets import PeerSockets
from raftkv.peer.transport import PeerTransport
from raftkv.server.config import ServerConfig
from raftkv.server.member import Member
from raftkv.tls.credentials import Credentials
from raftkv.ui.door import Door
from raftkv.ui.feed import Feed
from raftkv.ui.key_api import KeyApi
from raftkv.ui.local_control import LocalControl
from raftkv.ui.member_row import MemberRow
from raftkv.ui.page_files import PageFiles, page_directory
from raftkv.ui.prefixes import Prefixes
from raftkv.ui.session import Session
from raftkv.ui.site import Site
from raftkv.ui.witness import Witness
from raftkv.wire.limits import WireLimits
from raftkv.wire.listener import Listener, listen

log = logging.getLogger("raftkv.ui")

LEARN_S = 1.0
"""How long a page waits for the others to say where theirs are."""
CONNECTIONS_MAX = 256
BODY_BYTES_MAX = 64 << 10
WILDCARDS = ("0.0.0.0", "::")
_ORIGIN = re.compile(r"https?://(\[[0-9a-f:.]+\]|[\w.-]+):\d{1,5}", re.IGNORECASE)


class UiPort:
    """Made before the member starts."""

    def __init__(
        self,
        member: Member,
        transport: PeerTransport,
        observation: Observation,
        sockets: PeerSockets,
    ) -> None:
        config = member.config
        times, calls = observation.times, observation.calls
        reads = calls.counts("etcdserverpb.KV", "Range", is_stream=False)
        row = MemberRow(
            member,
            {"fsync": times.wal_fsync, "commit": times.backend_commit, "apply": times.apply},
            lambda: reads.started,
            ui_url_of(config),
        )
        self._config = config
        self._member = member
        self.witness = Witness(member, transport, row, lambda: time.time_ns() // 1_000_000)
        self._control: LocalControl | None = None
        if config.ui.local_control:
            self._control = LocalControl(
                config.ui.local_control, config.name, member.members, transport.cut
            )
        prefixes = Prefixes(lambda: member.store, member.scheduler.now, member.read_local)

        self._sockets = sockets
        self._asking: set[asyncio.Task[HttpAnswer | None]] = set()
        self._feed = Feed(member, self.witness, self._ask, prefixes, self._control)
        if self._control is not None:
            self._control.changed = self._feed.local_changed

    async def listen(self, tls: Credentials) -> Listener | None:
        """None when no page was asked for. Raises OSError."""
        if self._control is not None:
            self._control.start()
        address = self._config.ui.listen
        if address is None:
            return None
        session = Session(self._member)
        hosts = self._config.host_whitelist - {"*"}
        site = Site(
            Door(address, hosts, lambda: origins_in(self._feed.ui_urls)),
            PageFiles(page_directory()),
            self._feed,
            session,
            KeyApi(self._member, session),
            self._control,
            self._other_origins,
        )
        log.info("serving the web page", extra=fields(url=address.url))
        return await listen(
            (),
            site,
            address.place,
            WireLimits(connections_max=CONNECTIONS_MAX, http_body_bytes_max=BODY_BYTES_MAX),
            http_streams=site.streams,
            tls=tls if address.is_tls else None,
            reuse_port=self._config.operations.reuse_port,
        )

    def close(self) -> None:
        self._feed.end()
        if self._control is not None:
            self._control.close()
        for task in self._asking:
            task.cancel()

    def _ask(self, url: str, path: str, done: Callable[[HttpAnswer | None], None]) -> None:
        question = ask(self._sockets, "GET", url, path, is_quiet=True)
        task = asyncio.get_running_loop().create_task(question)
        self._asking.add(task)
        task.add_done_callback(self._asking.discard)
        task.add_done_callback(lambda t: done(None if t.cancelled() else t.result()))

    async def _other_origins(self) -> frozenset[str]:
        self._feed.ask_once()
        if self._asking and not self._feed.pages and not self._feed.knows_ui_urls:
            await asyncio.wait(list(self._asking), timeout=LEARN_S)
        return origins_in(self._feed.ui_urls)


def ui_url_of(config: ServerConfig) -> str:
    """Where others find this member's page; "" for none."""
    address = config.ui.listen
    if address is None:
        return ""
    if address.host not in WILDCARDS:
        return address.url
    host = urlsplit(config.advertise_client_urls[0]).hostname or address.host
    shown = f"[{host}]" if ":" in host else host
    return f"{address.scheme}://{shown}:{address.port}"


def origins_in(urls: frozenset[str]) -> frozenset[str]:
    """What is an origin and nothing else: it goes into headers."""
    return frozenset(url for url in urls if _ORIGIN.fullmatch(url))
