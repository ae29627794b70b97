"""What a test types differently from what a page says, and what it does not type at all.

Owns: the tables: where addresses and folders are moved to, what is run shorter or otherwise, which
commands stay until Ctrl-C, which cannot be run here. Must never do: hide a change anywhere else.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.e2e.member_process import reserve_ports
from tests.e2e.program import ROOT
from tests.shim.up_process import POD_RANGE, SERVICE_RANGE

_PLACE = re.compile(r"(?<![\w.-])(10\.0\.0\.\d+|127\.0\.0\.1|localhost):(\d{4,5})\b")
_HOST = re.compile(r"(?<![\w.-])10\.0\.0\.\d+(?![\w.])")
_FOLDER = re.compile(r"(?<![\w/.-])/(?:etc|tmp|usr/lib|usr/local|var)(?=/)")
FOLDERS = (
    "etc/bash_completion.d", "etc/raftkv", "etc/systemd/system", "tmp", "usr/lib/sysusers.d",
    "usr/local/bin", "usr/local/share/man/man1", "usr/local/share/zsh/site-functions",
    "var/backups", "var/log", "home/.config/fish/completions",
)  # fmt: skip
"""What a machine has, below a folder of the test's own."""
_STORE = {2379: 0, 22379: 10, 32379: 20}
"""Where members of `raftkv local` are by default, and how far apart they are at other ports."""
_ABOVE = (0, 1, 2)
"""Client port, peer port, the page's."""


class Places:
    """Ports of this test's own on 127.0.0.1 for all that pages name, on whatever host."""

    def __init__(self, known: Mapping[tuple[str, int], int] | None = None) -> None:
        self.variables: dict[str, str] = {}
        """What the setting's shells have set."""
        self.base = _in_a_row(30)
        self.api = _in_a_row(40)
        local = {port + n: self.base + off + n for port, off in _STORE.items() for n in _ABOVE}
        self._ports = {("127.0.0.1", port): other for port, other in local.items()}
        self._ports[("127.0.0.1", 6443)] = self.api
        self._ports |= known or {}

    def port(self, host: str, port: int) -> int:
        place = ("127.0.0.1" if host == "localhost" else host, port)
        if place not in self._ports:
            self._ports[place] = reserve_ports(1)[0]
        return self._ports[place]

    def moved(self, text: str, folder: Path) -> str:
        """The text with these ports, and with ``folder`` for the machine's root."""
        text = _PLACE.sub(lambda found: f"127.0.0.1:{self.port(found[1], int(found[2]))}", text)
        text = _HOST.sub("127.0.0.1", text)
        return _FOLDER.sub(lambda found: f"{folder}{found[0]}", text)


def _in_a_row(count: int) -> int:
    """The first of so many ports next to each other."""
    found = reserve_ports(count)
    while found[-1] - found[0] >= count:
        found = [*found[1:], *reserve_ports(1)]
    return found[0]


@dataclass(frozen=True)
class Change:
    """``pattern`` in a command becomes ``by``; `{name}` in it is filled in."""

    pattern: str
    by: str
    why: str


_LOCAL = "--base-port {base}"
_UP = (
    "--port {api} --store-port {store} --kubelet-port {kubelet} --dns-port {dns} "
    "--pod-range {pods} --service-cluster-ip-range {services}"
)
_SHORT_BENCH = ' WORK=lease ROUNDS=1 ARGS="--seconds 0.1 --no-save --data-dir ."'
CHANGES = (
    Change(r"^make run$", f'make run ARGS="{_LOCAL}"', "ports of its own"),
    Change(r"^raftkv local$", f"raftkv local {_LOCAL}", "ports of its own"),
    Change(r"^make control-plane$", f'make control-plane ARGS="{_UP}"', "ports, addresses"),
    Change(r"^(raftkv-apiserver .*)$", r"\1 --secure-port {api}", "ports of its own"),
    Change(
        r"^(raftkv serve (?!.*--(?:listen-client-urls|config-file)\b).*?)( &)?$",
        r"\1 --listen-client-urls=http://127.0.0.1:2379"
        r" --advertise-client-urls=http://127.0.0.1:2379"
        r" --listen-peer-urls=http://127.0.0.1:2380\2",
        "a member's default ports, said, so that they can be moved",
    ),
    Change(
        r"^(.*control-plane trace .*)$", r"\1 --etcd-servers 127.0.0.1:{store}", "ports of its own"
    ),
    Change(r"\bsudo ", "", "the folders are the test's own"),
    Change(r"\braftkv: /etc", "$(id -un): /etc", "there is no user raftkv: see systemd-sysusers"),
    Change(r"systemd-sysusers$", "systemd-sysusers --root={folder}", "no user of this machine"),
    Change(
        r"^systemctl daemon-reload && systemctl enable --now --no-block raftkv$",
        "systemctl --root={folder} enable raftkv",
        "no unit of this machine: it is enabled below the folder, not started",
    ),
    Change(
        r"^pip install 'raftkv\[otel\]'$",
        "PIP_DISABLE_PIP_VERSION_CHECK=1 "
        "pip install --quiet --dry-run --no-build-isolation '{root}[otel]'",
        "this tree's, and nothing is installed",
    ),
    Change(
        r"^pip download ",
        "pip download --quiet --disable-pip-version-check ",
        "its bar and its advice are for people",
    ),
    Change(r"^make bench$", f"make bench{_SHORT_BENCH}", "15 minutes: one group, once"),
    Change(r"^(make simulate images mutants)$", r"\1 SEEDS=1 IMAGES=50 MUTANTS=13", "hours"),
    Change(r"^(python -m jepsen_like run .*)$", r"\1 --time 1 --hold 0.5", "a minute each"),
    Change(r"(-m benchmarks\.budget .*)$", r"\1 --seconds 1", "a minute"),
    Change(
        r"^(RAFTKV_E2E_PROGRAM=.* pytest tests/e2e)$",
        r"\1/test_e2e_get.py --override-ini addopts=",
        "some minutes: one file, and none of this run's own options",
    ),
)
"""Applied in this order, before addresses and folders are moved."""

STAYS = {
    "make run": "m...: leader at term ...",
    "raftkv local": "m...: leader at term ...",
    "make control-plane": "ready: the API is https://...",
    "raftkv serve": "... to serve client requests...",
    "raftkv-apiserver": "serving on https://...",
    r"raftkv ctl --endpoints \S+ backup run": "... a base is there ...",
    "raftkv ctl import live": "copied up to revision ...; following",
    "ctl watch": "",
    "raftkv ctl watch": "",
    ".venv/bin/raftkv-control-plane trace": "waiting for writes; ...",
    "curl -N": "...event:...",
}
"""Commands that run until Ctrl-C, and what they show once they do what they are for. What comes
after such a one is typed in another terminal; it ends with its section."""

MAY_PROVE_NOTHING = {"python -m jepsen_like run": (2, "\nUNKNOWN")}
"""Status and last word of what did too little in the second that it had: "1" would be a finding."""

NOT_RUN = {
    "make test": ("it is what runs this", ".ci/run"),
    "podman build": ("needs a container engine", "tests/deploy/test_deploy_container.py"),
    "podman run": ("needs a container engine", "tests/deploy/test_deploy_container.py"),
    "podman compose": ("needs a container engine", "tests/deploy/test_deploy_compose.py"),
    "docker run": ("needs a container engine", "tests/tracing/test_tracing_journey.py"),
    "ssh -L": ("needs another host", "tests/ui/test_ui_site.py"),
}
"""What no plain machine can run: why, and what proves that which it is about."""


def beginning(table: Mapping[str, object], command: str) -> str | None:
    """Which of the table's entries the command begins with; what goes on beside (&) does not
    stay."""
    if command.endswith("&"):
        return None
    return next((key for key in table if re.match(rf"{key}(\s|$)", command)), None)


def typed(command: str, places: Places, folder: Path) -> str:
    """What is typed for a page's command."""
    names = {
        "base": places.base,
        "api": places.api,
        "kubelet": places.api + 1,
        "dns": places.api + 3,
        "store": places.api + 10,
        "pods": f"{POD_RANGE}.0.0/16",
        "services": f"{SERVICE_RANGE}.0.0/16",
        "folder": "@FOLDER@",
        "root": "@ROOT@",
    }
    for change in CHANGES:
        by = re.sub(r"\{(\w+)\}", lambda found: str(names[found[1]]), change.by)
        command = re.sub(change.pattern, by, command)
    moved = places.moved(command, folder)
    return moved.replace("@FOLDER@", str(folder)).replace("@ROOT@", str(ROOT))
