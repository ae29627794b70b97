"""Where the members of a local cluster live.

Owns: ports, directories and command lines of `raftkv local`. Must never do: start anything.
Member 1 listens where etcd does, 2379 and 2380; the others as in etcd's own examples 20000 and
30000 above that, or, where ports would run out or there are five members, 10 apart.
"""

from __future__ import annotations

import socket
import sys
from dataclasses import dataclass
from pathlib import Path

from raftkv.errors import ConfigError

BASE_PORT = 2379
PORT_MAX = 65_535
_SPREAD = (0, 20_000, 30_000)
UI_OFFSET = 2
"""Client port, peer port, the page's."""
_STEP = 10
HOST = "127.0.0.1"
TOKEN = "raftkv-local"


@dataclass(frozen=True, slots=True)
class Place:
    """One member's name, ports and directory."""

    name: str
    client_port: int
    peer_port: int
    directory: Path
    ui_port: int = 0
    """0 without a page."""

    @property
    def client_url(self) -> str:
        return f"http://{HOST}:{self.client_port}"

    @property
    def peer_url(self) -> str:
        return f"http://{HOST}:{self.peer_port}"

    @property
    def ui_url(self) -> str:
        """ "" for none."""
        return f"http://{HOST}:{self.ui_port}" if self.ui_port else ""

    @property
    def ports(self) -> list[int]:
        return [port for port in (self.client_port, self.peer_port, self.ui_port) if port]

    @property
    def endpoint(self) -> str:
        return f"{HOST}:{self.client_port}"

    @property
    def log_path(self) -> Path:
        return self.directory.with_suffix(".log")


def plan(members: int, base_port: int, data_dir: Path, *, has_ui: bool = True) -> tuple[Place, ...]:
    """At the usual first port the others are those that etcd's own examples have; else they are
    10 apart. Raises ConfigError when the ports do not fit."""
    above = UI_OFFSET if has_ui else 1
    spread = members <= len(_SPREAD) and base_port == BASE_PORT
    offsets = _SPREAD[:members] if spread else tuple(_STEP * i for i in range(members))
    last = base_port + offsets[-1] + above
    if base_port < 1 or last > PORT_MAX:
        raise ConfigError(f"--base-port {base_port} needs ports up to {last}, of {PORT_MAX}")
    return tuple(
        Place(
            f"m{i + 1}",
            base_port + offset,
            base_port + offset + 1,
            data_dir / f"m{i + 1}",
            base_port + offset + UI_OFFSET if has_ui else 0,
        )
        for i, offset in enumerate(offsets)
    )


def command_of(
    place: Place, places: tuple[Place, ...], program: tuple[str, ...], control: Path
) -> list[str]:
    """The command line that runs one member; ``program`` takes etcd's flags, and ours where it has
    a page, whose buttons speak to ``control``."""
    of_page = [f"--listen-ui-url={place.ui_url}", f"--ui-local-control={control}"]
    initial = ",".join(f"{other.name}={other.peer_url}" for other in places)
    return [
        *program,
        f"--name={place.name}",
        f"--data-dir={place.directory}",
        f"--listen-client-urls={place.client_url}",
        f"--advertise-client-urls={place.client_url}",
        f"--listen-peer-urls={place.peer_url}",
        f"--initial-advertise-peer-urls={place.peer_url}",
        f"--initial-cluster={initial}",
        f"--initial-cluster-token={TOKEN}",
        *(of_page if place.ui_port else []),
    ]


def own_program() -> tuple[str, ...]:
    return (sys.executable, "-m", "raftkv.cli.main", "serve", "--log-format=console")


def check_ports(places: tuple[Place, ...]) -> None:
    """Raises ConfigError that names every port that somebody else listens on."""
    taken = [port for place in places for port in place.ports if not _is_free(port)]
    if taken:
        listed = ", ".join(map(str, taken))
        raise ConfigError(
            f"port {listed} on {HOST} is in use: stop what listens there, or choose other ports "
            f"with --base-port (now {places[0].client_port}; a member's page is {UI_OFFSET} above "
            f"its client port, and --no-ui leaves it out)"
        )


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True
